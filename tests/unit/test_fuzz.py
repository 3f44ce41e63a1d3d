"""Arbitrary files and arguments: valid ones are accepted, all others give a clear error."""

import contextlib
import io
import os
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ruamel.yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.project import ROOT

import check
import corruptions
import download
import evaluate
import params as params_script
import report
import review
import schema
import subset
import summary
import train
from overfitting.common import params
from overfitting.common.datasets import load_examples, save_examples
from overfitting.common.errors import UserError
from overfitting.data.idx import read_idx

SHIPPED = (ROOT / "params.yaml").read_text()
NO_DEADLINE = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def assert_readable(error: UserError) -> None:
    assert str(error)
    assert len(max(str(error).splitlines(), key=len)) < 600


# params.yaml

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in nested dictionaries and lists."""
    own = [path] if path else []
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    else:
        return own
    return own + [inner for key, value in pairs for inner in paths(value, (*path, key))]


KEYS = paths(ruamel.yaml.YAML(typ="safe").load(SHIPPED))


@NO_DEADLINE
@given(key_path=st.sampled_from(KEYS), value=values)
@example(key_path=("data", "train_size"), value=float("nan"))
@example(key_path=("models", "baseline"), value={"../..": {}})
@example(key_path=("compare",), value=["baseline; rm -rf x"])
@example(key_path=("seeds",), value=[True])
def test_any_value_of_any_key_is_accepted_or_refused(
    folder: Path, key_path: Any, value: Any
) -> None:
    content = ruamel.yaml.YAML(typ="safe").load(SHIPPED)
    parent = content
    for key in key_path[:-1]:
        parent = parent[key]
    parent[key_path[-1]] = value
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        ruamel.yaml.YAML(typ="safe").dump(content, file)
    try:
        accepted = params.read(path)
    except UserError as error:
        assert_readable(error)
    else:
        assert set(accepted.compare) <= set(accepted.models)
        for name in accepted.models:
            assert Path(name).name == name and not set(name) & set(" ;&|$`'\"\\<>()*?/~!#\n")


@NO_DEADLINE
@given(position=st.integers(0, len(SHIPPED)), text=st.text(max_size=12), cut=st.integers(0, 12))
@example(position=0, text="!!python/object/apply:os.system [touch hacked]\n", cut=0)
@example(position=0, text="&a [*a, *a]\n", cut=0)
def test_any_edit_is_accepted_or_refused(folder: Path, position: int, text: str, cut: int) -> None:
    path = folder / "params.yaml"
    edited = SHIPPED[:position] + text + SHIPPED[position + cut :]
    path.write_bytes(edited.encode("utf-8", errors="surrogateescape"))
    try:
        params.read(path)
    except UserError as error:
        assert_readable(error)
    assert not Path("hacked").exists()


@NO_DEADLINE
@given(content=st.binary(max_size=300))
def test_random_bytes_are_not_valid_params(folder: Path, content: bytes) -> None:
    (folder / "params.yaml").write_bytes(content)
    with pytest.raises(UserError):
        params.read(folder / "params.yaml")


def test_params_of_100_megabytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with path.open("wb") as file:
        file.write(b"a: [")
        file.truncate(100 * 2**20)  # sparse: needs no disk space, but would need memory
    with pytest.raises(UserError, match=r"params\.yaml has 104857600 bytes"):
        params.read(path)


# Arguments

SCRIPTS = {
    script.__name__: (script.main, count)
    for script, count in (
        *((check, 1), (corruptions, 2), (download, 2), (evaluate, 11), (params_script, 2)),
        *((report, 7), (review, 1), (schema, 1), (subset, 5), (summary, 1), (train, 5)),
    )
}
ARGUMENTS = [
    *("baseline", "regularized", "baseline.dropout", "0", "-1", "4294967296", "1e9", "", "."),
    *("..", "../../outside", "é", "--help", "-x", "--", "$(touch hacked)", "`touch hacked`"),
    *("; touch hacked", "x" * 300, "\udcff", "missing", "a folder", "a file", "empty"),
    *("params.yaml", "dvc.yaml", "some.npz", "other.npz", "some.json", "some.weights.h5"),
    *("some.checked", "a folder/some.npz", "missing/some.json"),
]
# A command line cannot contain NUL.
argument = st.sampled_from(ARGUMENTS) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=8
)


@pytest.fixture(scope="module")
def junk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with meaningless files, params.yaml and dvc.yaml; tests must not change it."""
    folder = tmp_path_factory.mktemp("arguments")
    (folder / "a folder").mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "a file").write_bytes(bytes(range(256)))
    (folder / "empty").touch()
    (folder / ".partial-x-some.checked").touch()  # not a process ID
    save_examples(folder / "some.npz", numbers=np.arange(3))
    save_examples(folder / "a folder" / "some.npz", images=np.zeros((3, 28, 28), np.uint8))
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@NO_DEADLINE
@given(script=st.sampled_from(sorted(SCRIPTS)), data=st.data())
@example(script="params", data=["params.yaml", "params.yaml"])
@example(script="params", data=["params.yaml", "some.checked"])
@example(script="schema", data=["params.yaml"])
@example(script="corruptions", data=["a folder/some.npz", "./a folder/../a folder/some.npz"])
@example(script="corruptions", data=["a folder/some.npz", "a file"])
@example(script="corruptions", data=["baseline", "--", "--"])
@example(script="train", data=["baseline.dropout", "0", "some.npz", "a.weights.h5", "a.json"])
@example(script="train", data=["baseline", "0", "a folder/some.npz", "a.npz", "a.json"])
def test_invalid_arguments_give_a_readable_error(junk: Path, script: str, data: Any) -> None:
    main, count = SCRIPTS[script]
    arguments = data
    if not isinstance(data, list):
        arguments = data.draw(st.lists(argument, min_size=count, max_size=count + 1))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "parent", "folder")
        shutil.copytree(junk, folder)
        before = files_in(folder)
        succeeded = False
        with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()) as stderr:
            try:
                main(arguments)
                succeeded = True
            except UserError as error:
                assert_readable(error)
            except OSError as error:  # run_script reports it in one line
                assert error.filename
            except SystemExit as exit:
                assert exit.code == 0 or "usage: " in stderr.getvalue()
        assert "Traceback" not in stderr.getvalue()
        after = files_in(folder)
        expected = {os.path.normpath(arguments[-1])} if succeeded else set()
        changed = {name for name in before | after if after.get(name) != before.get(name)}
        assert {name for name in changed if not name.startswith("logs/")} <= expected
        assert [path.name for path in Path(scratch).iterdir()] == ["parent"]
        assert [path.name for path in Path(scratch, "parent").iterdir()] == ["folder"]
        assert not list(Path(scratch).rglob("hacked"))


# IDX

IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + bytes(range(24))


def assert_matches_file(path: Path, values: np.ndarray) -> None:
    """Assert that the array has the shape and values of the file, and that no byte is left over."""
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *values.shape)
    assert header + values.tobytes() == path.read_bytes()


@NO_DEADLINE
@given(content=st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: IDX[:4] + tail))
@example(content=IDX[:4] + b"\xff" * 12)
def test_random_bytes_are_valid_idx_or_refused(folder: Path, content: bytes) -> None:
    path = folder / "idx"
    path.write_bytes(content)
    try:
        values = read_idx(path, 3)
    except UserError as error:
        assert_readable(error)
    else:
        assert_matches_file(path, values)


@NO_DEADLINE
@given(position=st.integers(0, len(IDX) - 1), byte=st.integers(0, 255), cut=st.integers(0, 8))
@example(position=11, byte=2, cut=8)  # another shape, but valid
def test_changed_idx_is_read_correctly_or_refused(
    folder: Path, position: int, byte: int, cut: int
) -> None:
    path = folder / "idx"
    path.write_bytes(IDX[:position] + bytes([byte]) + IDX[position + 1 : len(IDX) - cut])
    with contextlib.suppress(UserError):
        assert_matches_file(path, read_idx(path, 3))


# Arrays


def saved(folder: Path) -> tuple[bytes, np.ndarray]:
    array = np.arange(300, dtype=np.int16).reshape(3, 100)
    save_examples(folder / "intact.npz", numbers=array)
    return (folder / "intact.npz").read_bytes(), array


@NO_DEADLINE
@given(data=st.data())
def test_changed_arrays_load_unaltered_or_are_refused(folder: Path, data: Any) -> None:
    content, array = saved(folder)
    position = data.draw(st.integers(0, len(content) - 1))
    corrupt = bytearray(content)
    corrupt[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del corrupt[data.draw(st.integers(0, len(content))) :]
    path = folder / "corrupt.npz"
    path.write_bytes(corrupt)
    try:
        [loaded] = load_examples(path, "numbers")
    except UserError as error:
        assert_readable(error)
    else:
        np.testing.assert_array_equal(loaded, array)


def test_any_flipped_bit_of_arrays_is_harmless_or_refused(folder: Path) -> None:
    content, array = saved(folder)
    path = folder / "flipped.npz"
    for position in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        with contextlib.suppress(UserError):
            np.testing.assert_array_equal(load_examples(path, "numbers")[0], array)


def test_a_pickle_among_the_arrays_is_refused_unopened(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "hacked",))

    for save in (
        lambda file: np.savez(file, numbers=np.array([Hostile()], dtype=object)),
        lambda file: np.save(file, np.array([Hostile()], dtype=object), allow_pickle=True),
    ):
        buffer = io.BytesIO()
        save(buffer)
        (tmp_path / "hostile.npz").write_bytes(buffer.getvalue())
        with pytest.raises(UserError, match="is corrupt"):
            load_examples(tmp_path / "hostile.npz", "numbers")
    assert not (tmp_path / "hacked").exists()
