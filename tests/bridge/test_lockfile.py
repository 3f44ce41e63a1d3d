"""A dvc.lock as text: entries of single stages are read, replaced and sorted."""

import pytest
from dvc.utils.serialize import dumps_yaml, parse_yaml
from support.project import ROOT

from dvc_bridge.lockfile import HEAD, OPENING, LockText

ENTRIES = {name: f"  {name}:\n    cmd: {name}\n    outs:\n    - path: x\n" for name in "abc"}
WHOLE = HEAD + OPENING + "".join(ENTRIES.values())


@pytest.mark.parametrize(
    "text",
    [
        (ROOT / "dvc.lock").read_text(encoding="utf-8"),
        WHOLE,
        WHOLE + "datasets:\n- name: d\n",
        "schema: '2.0'\ndatasets:\n- name: d\nstages:\n" + ENTRIES["a"],
        HEAD + OPENING,
    ],
)
def test_splitting_and_joining_changes_nothing(text: str) -> None:
    assert str(LockText.of(text)) == text


def test_entries_are_found_replaced_and_sorted() -> None:
    lock = LockText.of(WHOLE + "datasets: []\n")
    assert lock.names() == ["a", "b", "c"]
    assert {name: lock.entry(name) for name in "abcd"} == ENTRIES | {"d": ""}
    lock.put("b", "  b:\n    cmd: other\n")
    lock.put("d", "  d:\n    cmd: new\n")
    assert str(lock) == (
        f"{HEAD}{OPENING}{ENTRIES['a']}  b:\n    cmd: other\n{ENTRIES['c']}"
        "  d:\n    cmd: new\ndatasets: []\n"
    )
    lock.sort(["c", "no longer there", "a"])
    assert lock.names() == ["c", "a", "b", "d"]
    assert [lock.entry(name) for name in "ac"] == [ENTRIES["a"], ENTRIES["c"]]


@pytest.mark.parametrize("text", ["", "schema: '2.0'\nstages: {}\n", "schema: '2.0'\n"])
def test_the_first_entry(text: str) -> None:
    lock = LockText.of(text)
    assert lock.entry("a") == ""
    lock.put("a", ENTRIES["a"])
    assert str(lock) == HEAD + OPENING + ENTRIES["a"]


NAMES = ["a", "1", "null", "- x", "it's", "k{z}", "p@a: b", f"fit@{'a' * 200}", f"p@{'b c ' * 40}"]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_yaml_writes_in_another_way(name: str) -> None:
    """It quotes some, and puts those above 128 characters after a question mark."""
    stages = {other: {"cmd": f"echo {other}"} for other in NAMES}
    lock = LockText.of(dumps_yaml({"schema": "2.0", "stages": stages}))
    assert lock.names() == NAMES
    assert parse_yaml(OPENING + lock.entry(name), "dvc.lock") == {"stages": {name: stages[name]}}
    lock.put(name, dumps_yaml({"stages": {name: {"cmd": "new"}}}).removeprefix(OPENING))
    lock.sort(NAMES[::-1])
    assert lock.names() == NAMES[::-1]
    stages[name] = {"cmd": "new"}
    reversed_stages = {other: stages[other] for other in NAMES[::-1]}
    assert str(lock) == dumps_yaml({"schema": "2.0", "stages": reversed_stages})
