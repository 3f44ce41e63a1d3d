"""A dvc.lock as text: entries of single stages are read, replaced and sorted."""

import pytest
from dvc.utils.serialize import dumps_yaml
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


def test_a_long_name_is_written_like_any_other() -> None:
    """YAML writes keys above 128 characters in another way: `? key`."""
    longest = f"evaluate@{'a' * 100}-{2**32 - 1}"
    text = dumps_yaml({"schema": "2.0", "stages": {longest: {"cmd": "a"}}})
    assert LockText.of(text).names() == [longest]
