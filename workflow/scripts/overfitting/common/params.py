"""The one model of `params.yaml`: its keys, their ranges and what is refused.

`read` checks the whole file; `stage_params` then hands out only the keys that `dvc.yaml`
declares for a stage, so that a stage cannot depend on a value that DVC does not watch.
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

from .errors import UserError
from .param_errors import did_you_mean, in_one_line, without_consequences
from .yaml_files import load_yaml

Rate = Annotated[float, Field(ge=0, lt=1)]
Epochs = Annotated[int, Field(ge=1, le=1000)]
BatchSize = Annotated[int, Field(ge=1, le=60_000)]
Share = Annotated[float, Field(gt=0, lt=1)]
LearningRate = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
Source = Annotated[str, Field(min_length=1)]


class Strict(BaseModel):
    """No unknown keys, no silent conversions ("5" is not 5, true is not 1), no NaN."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Data(Strict):
    """The key `data`."""

    sources: Annotated[list[Source], Field(min_length=1)]
    """Where to look for the four raw files, tried in order."""
    train_size: Annotated[int, Field(ge=2, le=60_000)]
    """The first so many of the training images."""
    test_size: Annotated[int, Field(ge=1, le=10_000)]
    """The first so many of the test images."""


class Training(Strict):
    """The key `training`."""

    epochs: Epochs
    """Passes over the training images."""
    batch_size: BatchSize
    """Images per gradient step."""
    validation_split: Share
    """Share of the training images, the last ones, held out for validation."""
    learning_rate: LearningRate
    """Step size of the optimiser Adam."""


class Robustness(Strict):
    """The key `robustness`."""

    test_size: Annotated[int, Field(ge=0, le=10_000)]
    """So many of the test images, the first, are shifted, mirrored and corrupted; 0: none."""


class TrainingOverride(Strict):
    """The key `training` of a model: what it sets replaces the value for all models."""

    epochs: Epochs | None = None
    """Instead of `training.epochs`."""
    batch_size: BatchSize | None = None
    """Instead of `training.batch_size`."""
    validation_split: Share | None = None
    """Instead of `training.validation_split`."""
    learning_rate: LearningRate | None = None
    """Instead of `training.learning_rate`."""


class Augmentation(Strict):
    """The key `augmentation` of a model."""

    flip: Literal["horizontal", "vertical", "horizontal_and_vertical"] | None = None
    """Mirror each training image with probability 1/2 along each named axis."""
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest random shift, as a share of height and of width."""


class Dropout(Strict):
    """The key `dropout` of a model."""

    conv: Rate = 0.0
    """Share of the inputs set to zero after each of the two pooling layers."""
    dense: Rate = 0.0
    """Share of the inputs set to zero before the final classifier."""


class EarlyStopping(Strict):
    """The key `early_stopping` of a model."""

    patience: Epochs
    """Epochs without a lower val_loss before training stops and the best weights return."""


class Model(Strict):
    """What is added to the lesson's network; nothing by default."""

    augmentation: Augmentation = Augmentation()
    """Random, label-preserving changes to the training images."""
    dropout: Dropout = Dropout()
    """Random zeros between layers, in training only."""
    batch_norm: bool = False
    """Normalise between each convolution or hidden dense layer and its activation."""
    early_stopping: EarlyStopping | None = None
    """Stop when val_loss no longer falls."""
    training: TrainingOverride = TrainingOverride()
    """Any key of the top-level `training`, for this model alone."""


class Params(Strict):
    """The whole of `params.yaml`."""

    data: Data
    """The data set and how much of it is used."""
    training: Training
    """How every model is trained."""
    robustness: Robustness
    """How every model is tested on images unlike those it was trained on."""
    compare: Annotated[list[Name], Field(min_length=1)]
    """Which of the models are trained and reported."""
    seeds: Annotated[list[Seed], Field(min_length=1)]
    """Every model is trained once per seed."""
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    """The models that can be compared."""

    @model_validator(mode="after")
    def _names_and_seeds(self) -> Self:
        entries: list[tuple[str, list[Any]]] = [("compare", self.compare), ("seeds", self.seeds)]
        for key, values in entries:
            if twice := [value for value in values if values.count(value) > 1]:
                raise ValueError(f"{key} = {values}: {twice[0]!r} is listed twice; keep one")
        for name in self.compare:
            if name not in self.models:
                raise ValueError(
                    f"compare = {self.compare}: there is no model {name!r}"
                    f"{did_you_mean(name, self.models)}"
                )
        return self

    @model_validator(mode="after")
    def _sources_stay_where_they_say(self) -> Self:
        for source in self.data.sources:
            if ".." in Path(source).parts:
                raise ValueError(f"data.sources = {source!r}: must not contain '..'")
        return self

    @model_validator(mode="after")
    def _both_parts_have_images(self) -> Self:
        for where, split in [("training", self.training.validation_split)] + [
            (f"models.{name}.training", model.training.validation_split)
            for name, model in self.models.items()
        ]:
            if split is not None and not 0 < split_at(self.data.train_size, split) < (
                self.data.train_size
            ):
                raise ValueError(
                    f"{where}.validation_split = {split}: of {self.data.train_size} images, at "
                    "least 1 must be trained on and at least 1 held out; choose another share"
                )
        return self


def split_at(images: int, validation_split: float) -> int:
    """Return how many of the first `images` are trained on; the rest is held out.

    The same rule as `validation_split` of Keras's `Model.fit`.
    """
    return int(images * (1.0 - validation_split))


def effective_training(training: Training, model: Model) -> Training:
    """Return how `model` is trained: `training`, with the model's own overrides."""
    return training.model_copy(update=model.training.model_dump(exclude_none=True))


def read(path: Path = Path("params.yaml")) -> Params:
    """Read and check `params.yaml`.

    Raises:
        UserError: a line per fault, each with the file, the key, its value and what is
            allowed or which known key is nearest.
    """
    content = load_yaml(path)
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        schema = Params.model_json_schema()
        faults = without_consequences(error.errors())
        lines = [f"{path}: {in_one_line(fault, schema)}" for fault in faults]
        raise UserError("\n".join(lines)) from None


def seed(text: str) -> int:
    """Read a seed, 0 to 4294967295, from a command line.

    Raises:
        ValueError: it is none.
    """
    return TypeAdapter(Seed).validate_python(int(text))


def stage_params(stage: str, wildcards: dict[str, str] | None = None) -> dict[str, Any]:
    """Return what the stage `stage` of `dvc.yaml` declares under `params`, and nothing else.

    Args:
        stage: name of the stage, without what follows `@`.
        wildcards: for a matrix stage, what stands for `${item.…}`, by name.

    Returns:
        From each declared key (`training`, `models.baseline`, …) to its checked value.

    Raises:
        UserError: `params.yaml` is wrong, or lacks a key that the stage declares.
    """
    params = read(Path("params.yaml"))
    pipeline = load_yaml(Path("dvc.yaml"))
    values = {}
    for key in pipeline["stages"][stage].get("params", []):
        parts = key.replace("${item.", "{").split(".")
        parts = [part.format(**(wildcards or {})) for part in parts]  # a name may have dots
        key = ".".join(parts)
        value: Any = params
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
            if value is None:
                raise UserError(f"params.yaml: {key} is missing; the stage {stage} needs it")
        values[key] = value
    return values
