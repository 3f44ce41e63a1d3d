"""params.yaml: which contents are accepted or rejected, and the error messages."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ruamel.yaml
from pydantic import BaseModel
from support.project import ROOT

import schema
from overfitting.common import params, yaml_files
from overfitting.common.errors import UserError

SHIPPED = (ROOT / "params.yaml").read_text(encoding="utf-8")
END = r"\Z"  # `models` comes last, so that text added here adds a model


def edited(*edits: tuple[str, str]) -> str:
    """Return the shipped text with the first match of each pattern replaced."""
    text = SHIPPED
    for pattern, replacement in edits:
        escaped = replacement.replace("\\", r"\\")
        text, count = re.subn(pattern, escaped, text, count=1, flags=re.M)
        assert count, pattern
    return text


def model(*lines: str) -> tuple[str, str]:
    """Return the edit that adds a model `probe`."""
    return END, "\n  probe:\n" + "".join(f"    {line}\n" for line in lines)


def read(folder: Path, text: str) -> params.Params:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return params.read(path)


def refusal(folder: Path, text: str) -> list[str]:
    """Return the lines of the error message for a text, without the file's name."""
    with pytest.raises(UserError) as refused:
        read(folder, text)
    lines = str(refused.value).split("\n")
    assert all(line.startswith(f"{folder / 'params.yaml'}") for line in lines)
    return [line.removeprefix(f"{folder / 'params.yaml'}") for line in lines]


TRAIN_SIZE = r"^  train_size:.*"
TEST_SIZE = r"^  test_size:.*"
N_CORRUPTED = r"^robustness:.*\n  test_size:.*"
EPOCHS = r"^  epochs:.*"
BATCH_SIZE = r"^  batch_size:.*"
SPLIT = r"^  validation_split:.*"
RATE = r"^  learning_rate:.*"
COMPARE = r"^compare:.*"
SEEDS = r"^seeds:.*"
SOURCES = r"^  sources:\n"
ENTRY = "should have at least 1 item after validation, not 0"
NAME = "should match pattern '^[A-Za-z0-9][A-Za-z0-9_-]*$'"
ONCE = "is listed twice; keep one"

REFUSED = [
    # misspelt keys, at every level
    ((r"^training:", "trainign:"), "trainign = {", "did you mean 'training'?"),
    ((r"^seeds:", "sedes:"), "sedes = [", "did you mean 'seeds'?"),
    ((r"^models:", "model:"), "model = {", "did you mean 'models'?"),
    ((r"^compare:", "Compare:"), "Compare = [", "did you mean 'compare'?"),
    ((r"^data:", "date:"), "date = {", "did you mean 'data'?"),
    ((EPOCHS, "  epcohs: 9"), "training.epcohs = 9", "did you mean 'epochs'?"),
    ((EPOCHS, "  epochs: 9\n  epcohs: 9"), "training.epcohs = 9", "did you mean 'epochs'?"),
    ((TRAIN_SIZE, "  trainsize: 9"), "data.trainsize = 9", "did you mean 'train_size'?"),
    ((r"^  sources:", "  source:"), "data.source = [", "did you mean 'sources'?"),
    (model("dropuot: {conv: 0.1}"), "models.probe.dropuot = {'conv': 0.1}", "mean 'dropout'?"),
    (model("dropout: {convolution: 0.1}"), "models.probe.dropout.convolution = 0.1", "'conv'?"),
    (model('"drop\\nout": 1'), "models.probe.drop out = 1", "did you mean 'dropout'?"),
    (
        (r"^    batch_norm:", "    btch_norm:"),
        "models.batch_norm.btch_norm = True",
        "'batch_norm'?",
    ),
    (model("batchnorm: true"), "models.probe.batchnorm = True", "did you mean 'batch_norm'?"),
    (model("augmentation: {flips: horizontal}"), "augmentation.flips = 'horizontal'", "'flip'?"),
    (model("early_stopping: {patient: 3}"), "early_stopping.patient = 3", "'patience'?"),
    (model("training: {epoch: 3}"), "models.probe.training.epoch = 3", "did you mean 'epochs'?"),
    (
        (SEEDS, "seeds: [0]\nzzz: 1"),
        "zzz = 1",
        "(known: data, training, robustness, compare, seeds, models)",
    ),
    ((SEEDS, "seeds: [0]\n1: 2"), "1 = 1", "keys should be strings"),
    (model("true: 1"), "models.probe.1 = True", "keys should be strings"),
    (model("null: 1"), "models.probe.None = None", "keys should be strings"),
    (model("training: {3: 1}"), "models.probe.training.3 = 3", "keys should be strings"),
    # missing keys
    ((BATCH_SIZE, ""), "training.batch_size:", "field required"),
    ((SEEDS, ""), "seeds:", "field required"),
    (
        model("early_stopping: {}"),
        "models.probe.early_stopping.patience:",
        "field required",
    ),
    # wrong types
    ((BATCH_SIZE, '  batch_size: "5"'), "training.batch_size = '5'", "a valid integer"),
    ((BATCH_SIZE, "  batch_size: true"), "training.batch_size = True", "a valid integer"),
    ((BATCH_SIZE, "  batch_size: 64.0"), "training.batch_size = 64.0", "a valid integer"),
    ((BATCH_SIZE, "  batch_size: .nan"), "training.batch_size = nan", "a valid integer"),
    ((EPOCHS, "  epochs:"), "training.epochs = None", "a valid integer"),
    ((EPOCHS, "  epochs: yes"), "training.epochs = 'yes'", "a valid integer"),
    ((RATE, "  learning_rate: '0.1'"), "training.learning_rate = '0.1'", "a valid number"),
    ((RATE, "  learning_rate: true"), "training.learning_rate = True", "a valid number"),
    ((RATE, "  learning_rate: .nan"), "training.learning_rate = nan", "a finite number"),
    ((TRAIN_SIZE, '  train_size: "5"'), "data.train_size = '5'", "a valid integer"),
    ((SEEDS, "seeds: 0"), "seeds = 0", "a valid list"),
    ((SEEDS, "seeds: [true]"), "seeds.0 = True", "a valid integer"),
    ((SEEDS, "seeds: [0.5]"), "seeds.0 = 0.5", "a valid integer"),
    ((COMPARE, "compare: baseline"), "compare = 'baseline'", "a valid list"),
    ((COMPARE, "compare: [1]"), "compare.0 = 1", "a valid string"),
    (model("batch_norm: yes"), "models.probe.batch_norm = 'yes'", "a valid boolean"),
    (model("batch_norm: 1"), "models.probe.batch_norm = 1", "a valid boolean"),
    (
        model("dropout: 0.5"),
        "models.probe.dropout = 0.5",
        "a valid dictionary or instance of Dropout",
    ),
    (model("dropout: {conv: .nan}"), "models.probe.dropout.conv = nan", "a finite number"),
    (
        (END, "\n  probe:\n"),
        "models.probe = None",
        "a valid dictionary or instance of Model",
    ),
    # out of range
    (model("dropout: {conv: 1.5}"), "models.probe.dropout.conv = 1.5", "less than 1"),
    (model("dropout: {dense: 1.0}"), "models.probe.dropout.dense = 1.0", "less than 1"),
    (
        model("dropout: {conv: -0.1}"),
        "models.probe.dropout.conv = -0.1",
        "greater than or equal to 0",
    ),
    (
        model("augmentation: {translation: 0.9}"),
        "augmentation.translation = 0.9",
        "less than or equal to 0.5",
    ),
    (
        model("augmentation: {translation: -0.1}"),
        "augmentation.translation = -0.1",
        "greater than or equal to 0",
    ),
    (
        model("augmentation: {flip: diagonal}"),
        "models.probe.augmentation.flip = 'diagonal'",
        "'horizontal', 'vertical' or 'horizontal_and_vertical'",
    ),
    (
        model("early_stopping: {patience: 0}"),
        "early_stopping.patience = 0",
        "greater than or equal to 1",
    ),
    (
        model("training: {batch_size: 0}"),
        "models.probe.training.batch_size = 0",
        "greater than or equal to 1",
    ),
    ((BATCH_SIZE, "  batch_size: 0"), "training.batch_size = 0", "greater than or equal to 1"),
    (
        (BATCH_SIZE, "  batch_size: 60001"),
        "training.batch_size = 60001",
        "less than or equal to 60000",
    ),
    ((EPOCHS, "  epochs: 0"), "training.epochs = 0", "greater than or equal to 1"),
    ((EPOCHS, "  epochs: 1001"), "training.epochs = 1001", "less than or equal to 1000"),
    ((TRAIN_SIZE, "  train_size: 60001"), "data.train_size = 60001", "less than or equal to 60000"),
    ((TRAIN_SIZE, "  train_size: -1"), "data.train_size = -1", "greater than or equal to 2"),
    ((TRAIN_SIZE, "  train_size: 1"), "data.train_size = 1", "greater than or equal to 2"),
    ((TEST_SIZE, "  test_size: 10001"), "data.test_size = 10001", "less than or equal to 10000"),
    ((TEST_SIZE, "  test_size: 0"), "data.test_size = 0", "greater than or equal to 1"),
    (
        (N_CORRUPTED, "robustness:\n  test_size: -1"),
        "robustness.test_size = -1",
        "greater than or equal to 0",
    ),
    (
        (N_CORRUPTED, "robustness:\n  test_size: 10001"),
        "robustness.test_size = 10001",
        "less than or equal to 10000",
    ),
    ((SPLIT, "  validation_split: 0"), "training.validation_split = 0", "greater than 0"),
    ((SPLIT, "  validation_split: 1"), "training.validation_split = 1", "less than 1"),
    ((RATE, "  learning_rate: 0"), "training.learning_rate = 0", "greater than 0"),
    ((RATE, "  learning_rate: .inf"), "training.learning_rate = inf", "a finite number"),
    ((SEEDS, "seeds: [-1]"), "seeds.0 = -1", "greater than or equal to 0"),
    ((SEEDS, "seeds: [4294967296]"), "seeds.0 = 4294967296", "less than or equal to 4294967295"),
    ((SEEDS, f"seeds: [{10**40}]"), "seeds.0 = 1000000", "less than or equal to 4294967295"),
    ((SEEDS, "seeds: []"), "seeds = []", ENTRY),
    ((COMPARE, "compare: []"), "compare = []", ENTRY),
    # values that contradict each other
    ((SEEDS, "seeds: [0, 0]"), "seeds = [0, 0]", f"0 {ONCE}"),
    ((SEEDS, "seeds: [2, 1, 2]"), "seeds = [2, 1, 2]", f"2 {ONCE}"),
    ((COMPARE, "compare: [stacked, stacked]"), "compare = ['stacked', 'st", f"'stacked' {ONCE}"),
    ((COMPARE, "compare: [bassline]"), "there is no model 'bassline'", "did you mean 'baseline'?"),
    ((SOURCES, "  sources:\n    - ../raw\n"), "data.sources = '../raw'", "must not contain '..'"),
    ((SOURCES, "  sources:\n    - a/../b\n"), "data.sources = 'a/../b'", "must not contain '..'"),
    (
        (SOURCES, "  sources:\n    - ''\n"),
        "data.sources.0 = ''",
        "should have at least 1 character",
    ),
    (
        model("training: {train_size: 15001}"),
        "models.probe.training.train_size = 15001",
        "choose fewer,",
    ),
    (model("training: {train_size: 1}"), "train_size = 1", "greater than or equal to 2"),
    (
        model("training: {train_size: 3, validation_split: 0.9}"),
        "models.probe.training.validation_split = 0.9: of 3 images",
        "at least 1 held out;",
    ),
    # names that could be taken for a path, an option or another stage
    (
        (END, "\n  ../probe: {}\n"),
        "models.../probe.[key] = '../probe'",
        NAME,
    ),
    ((END, "\n  -probe: {}\n"), "models.-probe.[key] = '-probe'", NAME),
    ((END, "\n  a.b: {}\n"), "models.a.b.[key] = 'a.b'", NAME),
    ((END, "\n  a b: {}\n"), "models.a b.[key] = 'a b'", NAME),
    ((END, "\n  naïve: {}\n"), "models.naïve.[key] = 'naïve'", NAME),
    (
        (END, '\n  "probe\\n": {}\n'),
        r"models.probe .[key] = 'probe\n'",
        NAME,
    ),
    ((END, '\n  "": {}\n'), "models..[key] = ''", NAME),
    ((END, "\n  7: {}\n"), "models.7.[key] = 7", "a valid string"),
    (
        (END, f"\n  {'n' * 25}: {{}}\n"),
        f"[key] = '{'n' * 25}'",
        "should have at most 24 characters",
    ),
    ((COMPARE, "compare: [../probe]"), "compare.0 = '../probe'", NAME),
]


def test_the_shipped_file_is_accepted() -> None:
    read_params = params.read(ROOT / "params.yaml")
    content = ruamel.yaml.YAML(typ="safe").load(SHIPPED)
    assert read_params.compare == content["compare"]
    assert read_params.seeds == content["seeds"]
    assert read_params.training.model_dump() == content["training"]
    assert read_params.data.model_dump() == content["data"]
    assert list(read_params.models) == list(content["models"])


@pytest.mark.parametrize(
    ("edit", "key_and_value", "allowed"),
    REFUSED,
    ids=[f"{key}, {edit[1].strip()[-24:]!r}" for edit, key, _ in REFUSED],
)
def test_refuses_in_one_line_with_key_value_and_range(
    tmp_path: Path, edit: tuple[str, str], key_and_value: str, allowed: str
) -> None:
    [line] = refusal(tmp_path, edited(edit))
    assert line.startswith(": ")
    assert key_and_value in line
    assert f"{allowed} " in f"{line} "
    assert len(line) < 300


@pytest.mark.parametrize(
    ("edit", "key"),
    [
        ((EPOCHS, "  epochs: 9\n  epochs: 15"), "epochs"),
        ((SEEDS, "seeds: [0]\nseeds: [1]"), "seeds"),
        (model("dropout: {conv: 0.1, conv: 0.2}"), "conv"),
        ((END, "\n  probe: {}\n  probe: {}\n"), "probe"),
    ],
)
def test_refuses_a_repeated_key(tmp_path: Path, edit: tuple[str, str], key: str) -> None:
    text = edited(edit)
    [line] = refusal(tmp_path, text)
    match = re.fullmatch(rf", line (\d+): the key '{key}' is listed twice; keep one of them", line)
    assert match
    assert f"{key}:" in text.splitlines()[int(match[1]) - 1]


@pytest.mark.parametrize(
    ("size", "split"),
    [(2, 0.9), (9, 0.9), (60_000, 1e-17)],  # no training images (twice), no validation images
)
@pytest.mark.parametrize("of_model", [False, True])
def test_refuses_a_split_that_leaves_one_part_empty(
    tmp_path: Path, size: int, split: float, of_model: bool
) -> None:
    split_edit = (SPLIT, f"  validation_split: {split}")
    if of_model:
        split_edit = model(f"training: {{validation_split: {split}}}")
    [line] = refusal(tmp_path, edited((TRAIN_SIZE, f"  train_size: {size}"), split_edit))
    key = "models.probe.training" if of_model else "training"
    assert line.startswith(f": {key}.validation_split = {split}: of {size} images, at least 1 must")


def test_reports_each_error_on_its_own_line(tmp_path: Path) -> None:
    lines = refusal(
        tmp_path,
        edited(
            (EPOCHS, "  epcohs: 9"),
            (BATCH_SIZE, "  batch_size: 0"),
            (TRAIN_SIZE, "  train_size: 60001"),
            (SEEDS, "seeds: [-1, 0, 0.5]"),
            model("dropout: {conv: 2}"),
        ),
    )
    keys = {line.removeprefix(": ").split(" = ")[0] for line in lines}
    assert len(lines) == 6
    assert keys == {
        "training.epcohs",
        "training.batch_size",
        "data.train_size",
        "seeds.0",
        "seeds.2",
        "models.probe.dropout.conv",
    }


def test_reports_an_error_in_a_model_whose_name_is_a_number(tmp_path: Path) -> None:
    name, value = refusal(tmp_path, edited((END, "\n  7: {dropout: {conv: 2}}\n")))
    assert "models" in name and "7" in name
    assert value == ": models.7.dropout.conv = 2: input should be less than 1"


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "text\n"])
def test_refuses_what_is_not_a_mapping(tmp_path: Path, text: str) -> None:
    [line] = refusal(tmp_path, text)
    assert line.startswith(": the file = ")
    assert line.endswith("should be a valid dictionary or instance of Params")


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        params.read(tmp_path / "params.yaml")
    assert str(refused.value) == (
        f"{tmp_path / 'params.yaml'} is missing; run this in the project's folder"
    )


def test_refuses_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"# caf\xe9\n" + SHIPPED.encode())
    with pytest.raises(UserError, match=r"params.yaml is not UTF-8 text; save it as UTF-8"):
        params.read(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "edit",
    [
        (BATCH_SIZE, "  batch_size: [1"),
        (BATCH_SIZE, "\tbatch_size: 1"),
        (BATCH_SIZE, " batch_size: 1"),
        (BATCH_SIZE, "  batch_size: @"),
        (BATCH_SIZE, "  batch_size: *one"),
        (BATCH_SIZE, "  batch_size: \x07"),
        (BATCH_SIZE, "  batch_size: !!python/object/apply:os.getcwd []"),
        (END, "\n---\na: second document\n"),
    ],
    ids=["bracket", "tab", "indent", "at", "alias", "control character", "code", "documents"],
)
def test_refuses_what_is_not_yaml(tmp_path: Path, edit: tuple[str, str]) -> None:
    [line] = refusal(tmp_path, edited(edit))
    assert line.startswith(" is not YAML: ")
    assert re.search(r"line \d+|position \d+", line)


@pytest.mark.parametrize(
    ("written", "value"), [("1e-3", 0.001), ("1.0e-3", 0.001), ("1", 1.0), ("1e9", 1e9)]
)
def test_accepts_every_way_to_write_a_number(tmp_path: Path, written: str, value: float) -> None:
    accepted = read(tmp_path, edited((RATE, f"  learning_rate: {written}")))
    assert accepted.training.learning_rate == value


def test_accepts_the_ends_of_the_ranges(tmp_path: Path) -> None:
    accepted = read(
        tmp_path,
        edited(
            (TRAIN_SIZE, "  train_size: 60000"),
            (TEST_SIZE, "  test_size: 10000"),
            (N_CORRUPTED, "robustness:\n  test_size: 0"),
            (EPOCHS, "  epochs: 1000"),
            (BATCH_SIZE, "  batch_size: 1"),
            (SEEDS, "seeds: [4294967295, 0]"),
            model("dropout: {conv: 0, dense: 0.999}", "augmentation: {translation: 0.5}"),
        ),
    )
    assert accepted.data.train_size == 60_000
    assert accepted.seeds == [4294967295, 0]
    assert accepted.models["probe"].dropout.dense == 0.999


# Which params a stage gets

DECLARED = {
    "params": set(),
    "download": {"data.sources"},
    "subset": {"data.train_size", "data.test_size"},
    "corruptions": {"robustness.test_size"},
    "train": {"training", "models.regularized"},
    "evaluate": {"training.validation_split", "models.regularized"},
    "report": {"compare", "data.classes", "data.name", "seeds"},
}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two files that `stage_params` reads; it is the working directory."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_stage_is_listed_here() -> None:
    assert set(yaml_files.load_yaml(ROOT / "dvc.yaml")["stages"]) == set(DECLARED)


@pytest.mark.parametrize("stage", DECLARED)
def test_a_stage_sees_what_it_declares_and_nothing_else(checkout: Path, stage: str) -> None:
    values = params.stage_params(stage, {"model": "regularized", "seed": "0"})
    assert set(values) == DECLARED[stage]
    content = ruamel.yaml.YAML(typ="safe").load(SHIPPED)
    for key, value in values.items():
        expected: Any = content
        for part in key.split("."):
            expected = expected[part]
        actual = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        assert actual == expected


@pytest.mark.parametrize("stage", DECLARED)
def test_no_stage_works_with_wrong_params(checkout: Path, stage: str) -> None:
    (checkout / "params.yaml").write_text(edited((SEEDS, "seeds: [0, 0]")))
    with pytest.raises(UserError, match=r"^params.yaml: seeds = \[0, 0\]"):
        params.stage_params(stage, {"model": "regularized"})


def test_a_declared_key_that_is_missing_is_named(checkout: Path) -> None:
    with pytest.raises(UserError, match=r"^params.yaml: models.mine is missing; the stage train"):
        params.stage_params("train", {"model": "mine"})


# How a model is trained


def test_a_model_overrides_only_what_it_names(tmp_path: Path) -> None:
    accepted = read(
        tmp_path,
        edited(
            (EPOCHS, "  epochs: 15"),
            (RATE, "  learning_rate: 0.002"),
            model("training: {train_size: 100, epochs: 7, learning_rate: 0.5}"),
        ),
    )
    own = params.effective_training(accepted.training, accepted.models["probe"])
    assert own.model_dump() == accepted.training.model_dump() | {"epochs": 7, "learning_rate": 0.5}
    plain = params.effective_training(accepted.training, accepted.models["baseline"])
    assert plain == accepted.training


def test_splits_where_keras_does() -> None:
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    sizes = [2, 3, 5, 7, 10, 29, 99, 100, 150, 1000, 3000, 14_999, 15_000, 60_000]
    for size in sizes:
        values = np.arange(size, dtype=np.int32)
        for split in [0.01, 0.1, 0.15, 0.2, 0.25, 0.29, 0.3, 1 / 3, 0.5, 0.57, 0.7, 0.8, 0.9, 0.99]:
            split_index = params.split_at(size, split)
            if not 0 < split_index < size:
                with pytest.raises(ValueError, match="validation_split"):
                    train_validation_split((values,), split)
                continue
            (trained,), (held_out,) = train_validation_split((values,), split)
            assert np.array_equal(trained, values[:split_index]), (size, split)
            assert np.array_equal(held_out, values[split_index:]), (size, split)


# Documentation in params.yaml and in its schema


def test_every_value_has_a_comment_beside_or_above_it() -> None:
    lines = SHIPPED.splitlines()

    def leaves(content: Any) -> list[int]:
        return [
            line
            for key, value in content.items()
            for line in (
                leaves(value) if isinstance(value, dict) and value else [content.lc.key(key)[0]]
            )
        ]

    value_lines = leaves(ruamel.yaml.YAML().load(SHIPPED))
    assert len(value_lines) > 20
    for line in value_lines:
        beside, above = "#" in lines[line], lines[line - 1].lstrip().startswith("#")
        assert beside or above, f"params.yaml, line {line + 1} has no comment: {lines[line]}"


def test_the_file_names_every_key_of_the_model() -> None:
    full = params.Params.model_json_schema()
    keys = [key for part in [full, *full["$defs"].values()] for key in part["properties"]]
    assert len(keys) > 20
    assert [key for key in keys if not re.search(rf"^ *(# *)?{key}:", SHIPPED, re.M)] == []
    for part in (params.Model, params.Augmentation, params.Dropout, params.EarlyStopping):
        for key in part.model_fields:  # in the comment above the models, as models may omit it
            assert re.search(rf"^# +{key}:", SHIPPED, re.M), key


def test_the_committed_schema_matches_the_code(tmp_path: Path) -> None:
    schema.main([str(tmp_path / "new.json")])  # as `make schema` does
    committed = (ROOT / "workflow" / "params.schema.json").read_text(encoding="utf-8")
    assert committed == (tmp_path / "new.json").read_text(encoding="utf-8"), "run `make schema`"
    assert json.loads(committed) == params.Params.model_json_schema()
    assert SHIPPED.startswith("# yaml-language-server: $schema=workflow/params.schema.json\n")


NUMBER = r"\d+(?:\.\d+)?"
RANGE = rf"above {NUMBER}(?:, below {NUMBER})?|{NUMBER} to (?:below )?{NUMBER}"
SCHEMA = params.Params.model_json_schema()


def in_words(number: dict[str, Any]) -> str:
    """Return the range of a number in the JSON Schema as the comments write it."""
    low, high = number.get("minimum"), number.get("maximum")
    above, below = number.get("exclusiveMinimum"), number.get("exclusiveMaximum")
    if above is not None:
        return f"above {above}" if below is None else f"above {above}, below {below}"
    return f"{low} to {high}" if below is None else f"{low} to below {below}"


def ranges_in(node: dict[str, Any]) -> dict[str, str]:
    """Return the range of each number in a part of the JSON Schema, at any depth, by key.

    A mapping whose numbers all have the same range is included, with that range.
    """
    ranges: dict[str, str] = {}
    for key, value in node["properties"].items():
        for choice in [value, value.get("items", {}), *value.get("anyOf", [])]:
            if choice.get("type") in ("integer", "number"):
                ranges[key] = in_words(choice)
            elif "$ref" in choice:
                inner = ranges_in(SCHEMA["$defs"][choice["$ref"].rpartition("/")[2]])
                ranges |= inner
                if len(distinct := set(inner.values())) == 1:
                    [ranges[key]] = distinct
    return ranges


def test_every_range_in_a_comment_is_that_of_the_schema() -> None:
    ranges = {
        "data": ranges_in(SCHEMA["$defs"]["Data"]),
        "training": ranges_in(SCHEMA["$defs"]["Training"]),
        "robustness": ranges_in(SCHEMA["$defs"]["Robustness"]),
        "seeds": {"seeds": ranges_in(SCHEMA)["seeds"]},
        "models": ranges_in(SCHEMA["$defs"]["Model"]),
    }
    stated = set()
    section, keys = "", list[str]()
    for line in SHIPPED.replace(" (off)", "").splitlines():
        if top := re.match(r"(\w+):", line):
            section = top[1]
        elif line.startswith("# A model is"):  # the comment above `models`
            section = "models"
        keys = re.findall(r"(\w+):", line) or keys  # a comment may continue on the next line
        for written in re.findall(RANGE, line):
            numbers = [key for key in keys if key in ranges[section]]
            assert {ranges[section][key] for key in numbers} == {written}, line
            stated |= {(section, key) for key in numbers}
    overrides = {("models", key) for key in ranges["training"]}  # "any key of `training` above"
    known = {(section, key) for section, inner in ranges.items() for key in inner}
    assert known - overrides <= stated
