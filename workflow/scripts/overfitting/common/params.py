"""The data model of `params.yaml`: its keys, their types and their ranges.

`read` validates the whole file; `stage_params` returns only the keys that `dvc.yaml` declares for
a stage, so that a stage cannot depend on a value that DVC does not track.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from .datasets import N_CLASSES
from .errors import UserError
from .param_errors import did_you_mean, error_lines
from .yaml_files import load_yaml

Rate = Annotated[float, Field(ge=0, lt=1)]
Epochs = Annotated[int, Field(ge=1, le=1000)]
BatchSize = Annotated[int, Field(ge=1, le=60_000)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
TrainSize = Annotated[int, Field(ge=2, le=60_000)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=24)]
Source = Annotated[str, Field(min_length=1)]
ClassName = Annotated[str, Field(min_length=1, max_length=20)]


class Strict(BaseModel):
    """No unknown keys, no silent conversions ("5" is not 5, true is not 1), no NaN."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Data(Strict):
    """The key `data`."""

    sources: Annotated[list[Source], Field(min_length=1)]
    """Where to look for the four raw files, tried in order."""
    train_size: TrainSize
    """How many of the training images to use, from the first."""
    test_size: Annotated[int, Field(ge=1, le=10_000)]
    """How many of the test images to use, from the first."""
    name: Annotated[str, Field(min_length=1, max_length=40)]
    """What the report calls the data set."""
    classes: Annotated[list[ClassName], Field(min_length=N_CLASSES, max_length=N_CLASSES)]
    """What the report calls the classes, in the order of their labels, 0 to 9."""


class Training(Strict):
    """The key `training`."""

    epochs: Epochs
    """Passes over the training images."""
    batch_size: BatchSize
    """Images per gradient step."""
    validation_split: Fraction
    """Fraction of the training images, taken from the end, that is held out for validation."""
    learning_rate: LearningRate
    """Learning rate of the Adam optimizer."""


class Robustness(Strict):
    """The key `robustness`."""

    test_size: Annotated[int, Field(ge=0, le=10_000)]
    """How many of the test images, from the first, to shift, mirror and corrupt; 0 for none."""


class TrainingOverride(Strict):
    """The key `training` of a model: each value given here overrides the top-level one."""

    train_size: TrainSize | None = None
    """Instead of all images of the training subset, the first so many of them."""

    epochs: Epochs | None = None
    """Instead of `training.epochs`."""
    batch_size: BatchSize | None = None
    """Instead of `training.batch_size`."""
    validation_split: Fraction | None = None
    """Instead of `training.validation_split`."""
    learning_rate: LearningRate | None = None
    """Instead of `training.learning_rate`."""


class Augmentation(Strict):
    """The key `augmentation` of a model."""

    flip: Literal["horizontal", "vertical", "horizontal_and_vertical"] | None = None
    """Mirror each training image with probability 1/2 along each named axis."""
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest random shift, as a fraction of the height and of the width."""


class Dropout(Strict):
    """The key `dropout` of a model."""

    conv: Rate = 0.0
    """Fraction of the inputs to set to zero after each of the two pooling layers."""
    dense: Rate = 0.0
    """Fraction of the inputs to set to zero before the final classifier."""


class EarlyStopping(Strict):
    """The key `early_stopping` of a model."""

    patience: Epochs
    """Epochs without a lower val_loss before training stops and the best weights are restored."""


class Model(Strict):
    """What a model adds to the network of the lesson that this project follows."""

    augmentation: Augmentation = Augmentation()
    """Random, label-preserving changes to the training images."""
    dropout: Dropout = Dropout()
    """Dropout between layers, during training only."""
    batch_norm: bool = False
    """Batch normalization between each convolution or hidden dense layer and its activation."""
    early_stopping: EarlyStopping | None = None
    """Stop when val_loss no longer falls."""
    training: TrainingOverride = TrainingOverride()
    """Overrides for this model only: of the top-level `training`, and of `data.train_size`."""


class Params(Strict):
    """The whole of `params.yaml`."""

    data: Data
    """The data set, and how much of it is used."""
    training: Training
    """How the models are trained."""
    robustness: Robustness
    """How the models are tested on images that differ from the training distribution."""
    compare: Annotated[list[Name], Field(min_length=1)]
    """Names of the models to train and report."""
    seeds: Annotated[list[Seed], Field(min_length=1)]
    """Every model is trained once per seed."""
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    """The models that `compare` can name."""

    @model_validator(mode="after")
    def _check_names_and_seeds(self) -> Self:
        entries: list[tuple[str, list[Any]]] = [
            ("compare", self.compare),
            ("seeds", self.seeds),
            ("data.classes", self.data.classes),
        ]
        for key, values in entries:
            if repeated := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{key} = {values}: {repeated[0]!r} is listed twice; keep one")
        for name in self.compare:
            if name not in self.models:
                raise ValueError(
                    f"compare = {self.compare}: there is no model {name!r}"
                    f"{did_you_mean(name, self.models)}"
                )
        return self

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        for source in self.data.sources:
            if ".." in Path(source).parts:
                raise ValueError(f"data.sources = {source!r}: must not contain '..'")
        return self

    @model_validator(mode="after")
    def _check_train_sizes(self) -> Self:
        for name, model in self.models.items():
            if (size := model.training.train_size) and size > self.data.train_size:
                raise ValueError(
                    f"models.{name}.training.train_size = {size}: there are only "
                    f"data.train_size = {self.data.train_size} images; choose fewer, or raise that"
                )
        return self

    @model_validator(mode="after")
    def _check_splits(self) -> Self:
        splits = [("training", self.training.validation_split, self.data.train_size)]
        for name, model in self.models.items():
            own = model.training
            splits.append(
                (
                    f"models.{name}.training" if own.validation_split else "training",
                    own.validation_split or self.training.validation_split,
                    own.train_size or self.data.train_size,
                )
            )
        for where, split, size in splits:
            if not 0 < split_at(size, split) < size:
                raise ValueError(
                    f"{where}.validation_split = {split}: of {size} images, at least 1 must be "
                    "trained on and at least 1 held out; choose another fraction"
                )
        return self


def split_at(images: int, validation_split: float) -> int:
    """Return the size of the training part of `images` images; the rest is held out.

    The rule is that of `validation_split` of Keras's `Model.fit`.

    Args:
        images: number of images.
        validation_split: fraction to hold out, 0 to 1.
    """
    return int(images * (1.0 - validation_split))


def effective_training(training: Training, model: Model) -> Training:
    """Return the settings for training `model`: `training` with the overrides of the model.

    Its `train_size` is not among them: it says which images the model is trained on.
    """
    overrides = model.training.model_dump(exclude={"train_size"}, exclude_none=True)
    return training.model_copy(update=overrides)


def read(path: Path = Path("params.yaml")) -> Params:
    """Read and validate `params.yaml`.

    Raises:
        UserError: the file cannot be read, or is invalid; one line per error, each with the
            file, the key, its value and what is allowed.
    """
    content = load_yaml(path)
    try:
        return Params.model_validate(content)
    except ValidationError as invalid:
        lines = error_lines(invalid, Params.model_json_schema())
        raise UserError("\n".join(f"{path}: {line}" for line in lines)) from None


def seed(text: str) -> int:
    """Parse a seed, 0 to 4294967295, given on the command line.

    Raises:
        ValueError: `text` is not an integer in that range.
    """
    return TypeAdapter(Seed).validate_python(int(text))


def stage_params(stage: str, wildcards: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the params that a stage of `dvc.yaml` declares, and no others.

    Args:
        stage: name of the stage, without the part after `@`.
        wildcards: for a matrix stage, the value of each `${item.NAME}`, by name.

    Returns:
        A mapping from each declared key (`training`, `models.baseline`, …) to its value.

    Raises:
        UserError: `params.yaml` is invalid, or lacks a key that the stage declares.
    """
    params = read(Path("params.yaml"))
    pipeline = load_yaml(Path("dvc.yaml"))
    values = {}
    for key in pipeline["stages"][stage].get("params", []):
        parts = key.replace("${item.", "{").split(".")
        # Only after the split, as a value may contain dots.
        parts = [part.format(**(wildcards or {})) for part in parts]
        key = ".".join(parts)
        value: Any = params
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
            if value is None:
                raise UserError(f"params.yaml: {key} is missing; the stage {stage} needs it")
        values[key] = value
    return values
