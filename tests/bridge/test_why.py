"""`why` names what changed for each stage that must run."""

from support.toy import FACTOR_8, Toy

from dvc_bridge.why import MISSING, differences

WHY = ("python", "anywhere/dvc_bridge", "why")


def test_each_kind_of_change_is_named(done: Toy) -> None:
    assert done.run(*WHY).stdout == "nothing to run: no stage is stale\n"
    done.write("params.yaml", FACTOR_8)
    done.write("input.txt", "4\n")
    (done.folder / "out" / "b" / "3.txt").unlink()
    text = (done.folder / "dvc.yaml").read_text()
    done.write("dvc.yaml", text.replace("cat out/*/*.txt >", "cat out/*/*.txt  >"))
    before = done.lock()
    explained = done.run(*WHY).stdout.split("\n")
    by_stage: dict[str, list[str]] = {}
    for line in filter(None, explained):
        if line.startswith("  "):
            by_stage[list(by_stage)[-1]].append(line.strip())
        else:
            by_stage[line] = []
    assert by_stage["source"] == ["dep input.txt: modified"]
    assert by_stage["power@b-2"] == [
        "command: changed",  # the param stands in it as well
        "param factor: 7 -> 8 (params.yaml)",
        "upstream: source",
    ]
    assert "out out/b/3.txt: missing" in by_stage["power@b-3"]
    assert by_stage["total"][0] == "command: changed"
    assert by_stage["total"][-1].startswith("upstream: power@a-1-2, ")
    assert set(by_stage) == done.planned()
    assert done.lock() == before


def test_nested_params_are_compared_by_key() -> None:
    before = {"a": {"b": 1, "c": [1]}, "d": 2}
    after = {"a": {"b": 3, "c": [1], "e": None}, "d": 2}
    assert list(differences(before, after, "")) == [("a.b", 1, 3), ("a.e", MISSING, None)]
