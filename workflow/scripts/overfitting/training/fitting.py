"""Training one network, deterministically, and what is kept of it."""

import time
from dataclasses import asdict, dataclass
from logging import Logger

import numpy as np

from overfitting.common.datasets import to_network_input
from overfitting.common.errors import UserError
from overfitting.common.params import Model, Training, split_at

from . import networks
from .determinism import keras, tf

STEPS_PER_EXECUTION = 64  # gradient steps per call from Python to TensorFlow: saves most calls


@dataclass(frozen=True)
class History:
    """What Keras printed while it trained, a value per epoch.

    `accuracy` and `loss` are running averages over the epoch, taken with dropout and
    augmentation active; `val_accuracy` and `val_loss` are in inference mode.
    """

    accuracy: list[float]
    loss: list[float]
    val_accuracy: list[float]
    val_loss: list[float]
    best_epoch: int
    """The epoch, from 1, whose weights were kept: with early stopping that of the lowest
    val_loss, else the last."""

    def as_dict(self) -> dict[str, list[float] | int]:
        return asdict(self)


def train(
    model: Model, training: Training, images: np.ndarray, labels: np.ndarray, log: Logger
) -> tuple[keras.Sequential, History]:
    """Build and train a network as the lesson does.

    Adam, sparse categorical cross-entropy; the last `validation_split` of the images is
    held out, the rest is shuffled anew in every epoch.

    Args:
        model, training: the entry of `params.yaml` and how it is trained.
        images: uint8, N×28×28.
        labels: whole numbers, N, 0 to 9.
        log: hears a line per epoch.

    Returns:
        The trained network (with early stopping: its best weights) and its history.

    Raises:
        UserError: the loss or the weights ceased to be finite numbers.
    """
    network = networks.build(model)
    network.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    callbacks: list[keras.callbacks.Callback] = [
        keras.callbacks.TerminateOnNaN(),
        EpochLines(log, training.epochs),
    ]
    if model.early_stopping:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor="val_loss",
                patience=model.early_stopping.patience,
                restore_best_weights=True,
            )
        )
    split = split_at(len(images), training.validation_split)
    fitted = network.fit(
        shuffled_batches(images[:split], labels[:split], training.batch_size),
        validation_data=(to_network_input(images[split:]), labels[split:]),
        validation_batch_size=training.batch_size,
        epochs=training.epochs,
        shuffle=False,  # the batches are
        callbacks=callbacks,
        verbose=0,
    ).history
    if not all(np.isfinite(values).all() for values in [*fitted.values(), *network.get_weights()]):
        raise UserError(
            f"the loss is no longer a finite number in epoch {len(fitted['loss'])} of "
            f"{training.epochs}: training diverged with learning_rate = "
            f"{training.learning_rate:g}; lower it in params.yaml"
        )
    history = {name: [float(value) for value in values] for name, values in fitted.items()}
    best = int(np.argmin(history["val_loss"])) + 1 if model.early_stopping else len(history["loss"])
    return network, History(**history, best_epoch=best)


def shuffled_batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Return batches of scaled images and labels, in another order in every epoch.

    Given the arrays themselves, Keras would do the same, but with a seed set it shuffles every
    epoch alike (Keras 3.15): its dataset draws from a generator that begins anew each time.
    """
    numbers = tf.data.Dataset.range(len(images)).shuffle(len(images)).batch(batch_size)
    images, labels = tf.constant(images), tf.constant(labels)
    return numbers.map(
        lambda batch: (networks.scaled(tf.gather(images, batch)), tf.gather(labels, batch))
    )


class EpochLines(keras.callbacks.Callback):
    """A line per epoch: losses, accuracies and the time left, also for parallel runs."""

    def __init__(self, log: Logger, epochs: int):
        super().__init__()
        self.log, self.epochs = log, epochs

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = logs or {}
        left = (time.monotonic() - self.begun) / (epoch + 1) * (self.epochs - epoch - 1)
        self.log.info(
            "epoch %*d/%d  loss %.4f  accuracy %.4f  val_loss %.4f  val_accuracy %.4f  %s left",
            len(str(self.epochs)),
            epoch + 1,
            self.epochs,
            *(
                values.get(name, float("nan"))
                for name in ("loss", "accuracy", "val_loss", "val_accuracy")
            ),
            f"{left // 60:.0f} min {left % 60:02.0f} s" if left >= 60 else f"{left:.0f} s",
        )
