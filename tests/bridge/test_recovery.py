"""What a killed DVC left is repaired by a run of Snakemake, and by `repair`."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import zc.lockfile
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import dumps_yaml, parse_yaml
from support.toy import FACTOR_8, POWERS, Toy

from dvc_bridge import recovery

NAMES = ("a", "b@x-0", f"c@{'long ' * 30}", "d")
LOCK = dumps_yaml(
    {
        "schema": "2.0",
        "stages": {
            name: {"cmd": f"python {name}.py", "outs": [{"path": "x", "size": 7}]} for name in NAMES
        },
    }
)
REPAIR = ("python", "anywhere/dvc_bridge", "repair")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path


def test_a_lock_file_cut_at_any_byte_keeps_its_whole_entries(checkout: Path) -> None:
    lock = checkout / "dvc.lock"
    starts = [found.start() for found in re.finditer(r"^  (?=[a-z?])", LOCK, re.MULTILINE)]
    assert len(starts) == len(NAMES)
    for length in range(len(LOCK) + 1):
        cut = LOCK[:length]
        lock.write_text(cut)
        recovery.repair(checkout)
        kept = lock.read_text() if lock.exists() else ""
        if kept:
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(kept, "dvc.lock"))  # DVC reads it
        if kept != cut:
            last = max((start for start in starts if start + 2 < length), default=0)
            assert kept == (cut[:last] if last > starts[0] else "")
    assert [path.name for path in checkout.rglob("*") if path.is_file()] == ["dvc.lock"]


def test_a_lock_file_that_is_being_written_is_left_alone(checkout: Path) -> None:
    (checkout / "dvc.lock").write_text(LOCK[:50])
    held = zc.lockfile.SimpleLockFile(str(checkout / ".dvc" / "tmp" / "lock"))
    recovery.repair(checkout)
    assert (checkout / "dvc.lock").read_text() == LOCK[:50]
    held.close()
    recovery.repair(checkout)
    assert not (checkout / "dvc.lock").exists()  # no entry in it was whole


def test_what_is_no_lock_file_is_left_alone(checkout: Path) -> None:
    assert recovery.repair(checkout) == []
    (checkout / "dvc.lock").mkdir()
    assert recovery.repair(checkout) == []
    assert (checkout / "dvc.lock").is_dir()


SLEEPS = "import sys, time; print(flush=True); time.sleep(60)"


@contextmanager
def living(*arguments: str) -> Iterator[int]:
    """A process that sleeps, called with some arguments."""
    command = [sys.executable, "-c", SLEEPS, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield process.pid
        process.kill()


@contextmanager
def zombie(*arguments: str) -> Iterator[int]:
    """A process that was killed, and whose parent has not asked for its status."""
    with subprocess.Popen([sys.executable, "-c", SLEEPS, *arguments]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ask, and let it be
        yield process.pid


def test_processes_that_have_ended_are_removed_from_the_rwlock(checkout: Path) -> None:
    rwlock = checkout / ".dvc" / "tmp" / "rwlock"
    with (
        living("dvc", "repro") as dvc,
        living("other") as other,
        living("train_all.py") as script,
        living("-m", "dvc", "repro") as module,
        zombie("dvc", "repro") as dead,
    ):
        assert psutil.pid_exists(dead)  # as DVC asks
        at_work = {"pid": dvc, "cmd": "/bin/dvc repro"}
        by_script = {"pid": script, "cmd": "/some/train_all.py"}  # which calls DVC as a library
        for info, stays in [
            (at_work, True),
            (by_script, True),
            ({"pid": dvc, "cmd": "/a b/my venv/bin/dvc repro"}, True),
            ({"pid": module, "cmd": "/a b/my venv/lib/dvc/__main__.py repro"}, True),
            ({"pid": module, "cmd": "/a b/my venv/lib/dvc/__main__.py repro --force"}, False),
            ({"pid": other, "cmd": "/a b/other repro"}, False),
            ({"pid": other, "cmd": "dvc repro"}, False),  # another program has the number now
            ({"pid": dead, "cmd": "dvc repro"}, False),
        ]:
            for kind in ("read", "write"):
                entries: dict[str, Any] = {"/x": info}
                other_entries: dict[str, Any] = {"/y": at_work}
                if kind == "read":
                    entries, other_entries = {"/x": [info]}, {"/y": [at_work]}
                rwlock.write_text(json.dumps({kind: entries | other_entries}))
                recovery.repair(checkout)
                kept = json.loads(rwlock.read_text())[kind]
                assert kept == (entries if stays else {}) | other_entries, (kind, info)


@pytest.mark.parametrize("content", ["", '{"write": {"a": {"pid": 1', "\0" * 10, "[3]"])
def test_a_rwlock_that_was_cut_off_is_removed(checkout: Path, content: str) -> None:
    rwlock, guard = (checkout / ".dvc" / "tmp" / name for name in ("rwlock", "rwlock.lock"))
    rwlock.write_text(content)
    writing = zc.lockfile.SimpleLockFile(str(guard))
    recovery.repair(checkout)
    assert rwlock.read_text() == content  # a living DVC is writing it
    writing.close()
    assert recovery.repair(checkout) == ["rwlock was cut off when DVC was killed: removed"]
    assert not rwlock.exists()


def test_a_run_of_snakemake_repairs_a_cut_off_dvc_lock(done: Toy) -> None:
    lock = done.folder / "dvc.lock"
    whole, ran = lock.read_text(), done.ran()
    for part in (0.0, 0.7):
        lock.write_text(whole[: int(part * len(whole))].rstrip("\n"))
        cut = lock.read_text()
        os.utime(lock, (1, 1))
        looked = done.run("snakemake", "-n", check=False)
        assert looked.returncode == 1
        assert looked.stdout.splitlines()[-1].startswith("error: dvc.lock was cut off when DVC was")
        assert lock.read_text() == cut  # who looks changes nothing
        assert "dvc.lock was cut off when DVC was killed: kept the " in done.snakemake()
        assert lock.read_text() == whole
        done.assert_up_to_date()
    assert done.ran() == ran  # all from DVC's run cache


def test_repair_in_any_folder(done: Toy) -> None:
    done.write("sub/dvc.yaml", "stages:\n  x: {cmd: echo x > x.txt, outs: [x.txt]}\n")
    done.run("dvc", "repro", "--quiet", "sub/dvc.yaml")
    lock = done.folder / "sub" / "dvc.lock"
    lock.write_text(lock.read_text()[:40])
    rwlock = done.write(".dvc/tmp/rwlock", '{"read": {"/some')
    plain = done.run("dvc", "repro", check=False)
    assert plain.returncode and "cut off" not in plain.stdout  # plain DVC says what DVC says
    said = done.run(*REPAIR).stdout
    assert "dvc.lock was cut off when DVC was killed" in said
    assert "rwlock was cut off when DVC was killed: removed" in said
    assert not rwlock.exists()
    assert done.run(*REPAIR).stdout == "nothing to repair\n"
    done.run("dvc", "repro", "--quiet", "sub/dvc.yaml")


def test_temporary_files_beside_outs_are_no_part_of_a_folder(done: Toy) -> None:
    """A kill while DVC puts an out in place leaves one in the folder that `total` depends on."""
    token = f".{secrets.token_urlsafe(16)}.tmp"
    left = [done.folder / "out" / "b" / f"{of}{token}" for of in ("", "2.txt")]
    for repair in (done.snakemake, lambda: done.run(*REPAIR).stdout):
        for path in left:
            path.write_text("half")
        assert f"out/b/{token}, out/b/2.txt{token}" in repair()
        assert not any(path.exists() for path in left)
        done.assert_up_to_date()
    of_users = [done.write(f"out/b/{name}", "mine") for name in (f"1.txt{token}", ".x.tmp")]
    assert done.run(*REPAIR).stdout == "nothing to repair\n"
    assert [path.read_text() for path in of_users] == ["mine", "mine"]


def test_a_stale_rwlock_blocks_no_run(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    before = len(done.ran())
    path = str(done.folder / "out" / "b" / "2.txt")
    with zombie("dvc", "repro") as dead:
        entries = {"write": {path: {"pid": dead, "cmd": "dvc repro"}}}
        done.write(".dvc/tmp/rwlock", json.dumps(entries))
        assert "rwlock named processes of DVC that have ended" in done.snakemake()
    assert len(done.ran()) == before + len(POWERS)


def test_locks_by_hard_links_work_where_the_usual_ones_were_used(done: Toy) -> None:
    done.write("params.yaml", FACTOR_8)
    tmp = done.folder / ".dvc" / "tmp"
    (tmp / "lock").write_text("")
    (tmp / "rwlock.lock").write_text("123\n")
    done.run("dvc", "config", "--local", "core.hardlink_lock", "true")
    assert done.planned() == {*POWERS, "total"}
    said = done.snakemake()
    assert "core.hardlink_lock is set: removed" in said
    assert not (tmp / "lock").exists()
    done.repro()
    done.assert_up_to_date()
    lock = done.folder / "dvc.lock"
    lock.write_text(lock.read_text()[:-5])
    done.run(*REPAIR)
    assert not list(tmp.glob("*lock"))[1:], "the repair left a lock behind"
    done.snakemake()
