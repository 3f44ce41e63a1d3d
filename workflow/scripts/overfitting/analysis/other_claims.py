"""Claims of the lesson that need more models or other settings than are compared by default."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OtherClaim:
    """A claim that the two models compared by default cannot answer."""

    number: int
    claim: str
    entries: tuple[str, ...]
    """The entries of `models` in `params.yaml` that are needed to test it."""
    advice: str = ""
    """What else is needed to test it; empty if nothing is."""

    def missing(self, compare: list[str]) -> list[str]:
        """Return the entries that are not in `compare`."""
        return [entry for entry in self.entries if entry not in compare]


MORE_EPOCHS = "copies of both with `training: {epochs: 30}` and `{epochs: 60}`"
OTHER_CLAIMS = [
    OtherClaim(
        5,
        "It is the small gap that makes the model robust.",
        ("baseline", "dropout_only", "augmentation_only", "regularized"),
    ),
    OtherClaim(
        6,
        "More epochs help the regularized model, not the baseline.",
        ("baseline", "regularized"),
        MORE_EPOCHS,
    ),
    OtherClaim(
        8,
        "A lighter final dropout lets it memorize more.",
        ("regularized", "light_dropout"),
        "copies of `regularized` with `dropout.dense` at 0 and at 0.7",
    ),
    OtherClaim(9, "Early stopping uses most of 30 epochs.", ("early_stopping",)),
    OtherClaim(
        10,
        "Batch normalization speeds training and regularizes mildly.",
        ("baseline", "batch_norm"),
    ),
    OtherClaim(
        11,
        "Less data overfits more.",
        ("baseline",),
        "a run each with `data.train_size` at 3000, 7500, 15000 and 60000",
    ),
    OtherClaim(
        12,
        "The gap predicts how a model behaves once it is deployed.",
        (
            "baseline",
            "regularized",
            "dropout_only",
            "augmentation_only",
            "light_dropout",
            "early_stopping",
            "batch_norm",
            "stacked",
        ),
    ),
    OtherClaim(
        13,
        "Vertical flips are the wrong augmentation.",
        ("baseline",),
        "an entry of `models` with `augmentation: {flip: vertical}`",
    ),
]
