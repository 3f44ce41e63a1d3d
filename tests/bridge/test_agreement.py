"""Both engines do the same, from contents."""

import os
import shutil
from pathlib import Path

import pytest
from support.processes import output_of, start, wait_until
from support.project import executed_stages
from support.toy import ALL, FACTOR_8, POWERS, Toy


def test_the_first_run(toy: Toy, tmp_path: Path) -> None:
    twin = toy.twin(tmp_path / "twin")
    toy.snakemake()
    assert set(toy.ran()) == POWERS
    twin.repro()
    assert toy.lock() == twin.lock()
    for name in ("total.txt", ".gitignore", "out/.gitignore"):
        assert (toy.folder / name).read_bytes() == (twin.folder / name).read_bytes()
    toy.assert_up_to_date()
    assert executed_stages(toy.repro()) == set()


def test_new_entries_of_dvc_lock_come_in_the_order_of_dvc(done: Toy, tmp_path: Path) -> None:
    """Also where they end in another order, and where a run is killed and finished by the next."""
    done.write("params.yaml", "names: [c, a-1, b]\npowers: [5, 2, 3]\nfactor: 7\n")
    twin = done.twin(tmp_path / "twin")
    twin.repro()
    held = done.hold("c-5")
    run = start(done, "snakemake", "--cores", "4")
    wait_until(lambda: "power@c-3:" in done.lock() and "power@b-5:" in done.lock())
    run.kill()
    run.wait(30)
    held.unlink()
    assert "power@c-5" not in done.lock(), output_of(done)
    done.snakemake()
    assert done.lock() == twin.lock()


def test_an_edit_is_planned_as_dvc_does_it(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    assert done.planned() == POWERS | {"total"}
    assert done.planned("out/b/3.txt") == {"power@b-3"}
    done.snakemake()
    done.assert_up_to_date()
    done.write("input.txt", "4\n")
    assert done.planned() == ALL
    assert executed_stages(done.repro()) == ALL
    done.assert_up_to_date()


def test_file_times_mean_nothing(done: Toy) -> None:
    for time in (4e9, 1):
        for path in done.folder.rglob("*"):
            if not {".git", ".dvc"} & set(path.parts):
                os.utime(path, (time, time))
        assert done.planned() == set()
        shutil.rmtree(done.folder / ".snakemake")
    done.assert_up_to_date()


def test_touch_leaves_stale_stages_stale(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    lock = done.lock()
    done.run("snakemake", "--touch", "--cores", "1")
    assert done.lock() == lock
    assert done.planned() == POWERS | {"total"}
    done.snakemake()
    done.assert_up_to_date()


def test_stages_without_a_rule_are_run(done: Toy) -> None:
    """A new stage, one of another dvc.yaml, data of a .dvc file: as far as `dvc repro` goes."""
    with (done.folder / "dvc.yaml").open("a") as file:
        file.write("  late:\n    cmd: cat total.txt sub/x.txt data.bin > late.txt\n")
        file.write("    deps: [total.txt, sub/x.txt, data.bin]\n    outs: [late.txt]\n")
        file.write("  alone: {cmd: echo alone > alone.txt, outs: [alone.txt]}\n")
    done.write("sub/dvc.yaml", "stages:\n  x: {cmd: echo x > x.txt, outs: [x.txt]}\n")
    done.write("other/dvc.yaml", "stages:\n  y: {cmd: echo y > y.txt, outs: [y.txt]}\n")
    for name in ("data.bin", "docs/slides.bin"):
        done.write(name, "one\n")
        done.run("dvc", "add", "--quiet", name)
    new = {"late", "alone", "sub/dvc.yaml:x"}
    assert done.planned() == new
    done.snakemake()
    assert done.planned() == set()
    assert executed_stages(done.repro()) == set()
    assert set(done.status()) == {"other/dvc.yaml:y"}  # which `dvc repro` does not run either

    done.write("data.bin", "two\n")
    done.write("docs/slides.bin", "two\n")
    assert done.planned() == {"data.bin.dvc", "late"}
    done.snakemake()
    assert set(done.status()) == {"other/dvc.yaml:y", "docs/slides.bin.dvc"}
    assert (done.folder / "late.txt").read_text().endswith("two\n")
    assert done.planned() == set()


def test_a_target_without_a_stage_is_refused(done: Toy) -> None:
    said = done.run("snakemake", "-n", "out/c/2.txt", check=False)
    assert said.returncode == 1
    assert said.stdout.splitlines()[-1] == "error: dvc.yaml and its params have no stage power@c-2"


def test_a_failing_stage_leaves_the_others_and_its_log(done: Toy) -> None:
    text = (done.folder / "dvc.yaml").read_text()
    failing = "[ ${item.power} = 3 ] && echo no luck && exit 3; echo ${item.name} ${item.power} >>"
    done.write("dvc.yaml", text.replace("echo ${item.name} ${item.power} >>", failing, 1))
    run = done.run("snakemake", "--cores", "4", "--keep-going", "--show-failed-logs", check=False)
    assert run.returncode == 1
    assert "no luck" in run.stdout
    assert done.planned() == {"power@a-1-3", "power@b-3", "total"}
    done.write("dvc.yaml", text)
    done.snakemake()
    done.assert_up_to_date()


@pytest.mark.parametrize(
    ("options", "limited"), [((), False), (("--max-jobs-per-timespan", "5/1s"), True)]
)
def test_the_default_rate_limit_is_lifted_for_local_jobs(
    done: Toy, options: tuple[str, ...], limited: bool
) -> None:
    """With a limit, Snakemake's scheduler plans ever more often as jobs end."""
    snakefile = done.folder / "Snakefile"
    say = "print('limited:', workflow.scheduler.job_rate_limiter is not None)"
    snakefile.write_text(f"{snakefile.read_text()}\n\nonstart:\n    {say}\n")
    done.write("params.yaml", FACTOR_8)
    assert f"limited: {limited}\n" in done.snakemake(*options)
    done.assert_up_to_date()
