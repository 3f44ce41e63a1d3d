"""Deterministic training of one network, and the history that is kept of it."""

import time
from dataclasses import dataclass
from logging import Logger

import numpy as np

from overfitting.common.errors import UserError
from overfitting.common.params import Model, Training, split_at

from . import networks
from .determinism import keras, tf

STEPS_PER_EXECUTION = 64  # gradient steps per call into TensorFlow: saves the cost of most calls


@dataclass(frozen=True)
class History:
    """The metrics that Keras reports during training, one value per epoch.

    Losses are cross-entropies in nats, accuracies are shares of the images, 0 to 1. `accuracy` and
    `loss` are running averages over the epoch, with dropout and augmentation active;
    `val_accuracy` and `val_loss` are computed in inference mode at the end of the epoch.
    """

    accuracy: list[float]
    loss: list[float]
    val_accuracy: list[float]
    val_loss: list[float]
    best_epoch: int
    """The epoch, counted from 1, whose weights were kept: with early stopping the one with the
    lowest val_loss, otherwise the last one."""


def train(
    model: Model, training: Training, images: np.ndarray, labels: np.ndarray, log: Logger
) -> tuple[keras.Sequential, History]:
    """Build and train a network in the same way as the lesson that this project follows.

    The optimizer is Adam, the loss sparse categorical cross-entropy. The last images, a share of
    `validation_split`, are held out for validation; the others are reshuffled in every epoch.

    Args:
        model: the network, an entry under `models` in `params.yaml`.
        training: how it is trained, including the model's own overrides.
        images: uint8, N×28×28.
        labels: N integers, 0 to 9.
        log: receives one line per epoch.

    Returns:
        The trained network (with early stopping, its best weights) and its history.

    Raises:
        UserError: training diverged: a loss, an accuracy or a weight is not finite.
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
        EpochLogger(log, training.epochs),
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
        validation_data=(networks.scale_pixels(images[split:]), labels[split:]),
        validation_batch_size=training.batch_size,
        epochs=training.epochs,
        shuffle=False,  # `shuffled_batches` does it
        callbacks=callbacks,
        verbose=0,
    ).history
    if not all(np.isfinite(values).all() for values in [*fitted.values(), *network.get_weights()]):
        raise UserError(
            f"the loss or a weight is no longer finite in epoch {len(fitted['loss'])} of "
            f"{training.epochs}: training diverged with learning_rate = "
            f"{training.learning_rate:g}; lower it in params.yaml"
        )
    history = {name: [float(value) for value in values] for name, values in fitted.items()}
    best = int(np.argmin(history["val_loss"])) + 1 if model.early_stopping else len(history["loss"])
    return network, History(**history, best_epoch=best)


def shuffled_batches(images: np.ndarray, labels: np.ndarray, batch_size: int) -> tf.data.Dataset:
    """Return a dataset of batches that is shuffled differently in every epoch.

    `Model.fit` also shuffles arrays, but once a seed is set, it uses the same order in every epoch
    (Keras 3.15), because the random state of its dataset is reset each time.

    Args:
        images: uint8, N×28×28.
        labels: N integers.
        batch_size: images per batch; the last batch of an epoch may be smaller.

    Returns:
        Pairs of images (float32, batch×28×28×1, 0 to 1) and labels.
    """
    indices = tf.data.Dataset.range(len(images)).shuffle(len(images)).batch(batch_size)
    images, labels = tf.constant(images), tf.constant(labels)
    return indices.map(
        lambda batch: (networks.scale_pixels(tf.gather(images, batch)), tf.gather(labels, batch))
    )


class EpochLogger(keras.callbacks.Callback):
    """Logs one line per epoch: losses, accuracies and the estimated time left.

    Unlike the progress bar of Keras, the lines stay readable when several trainings run at once.
    """

    def __init__(self, log: Logger, epochs: int):
        super().__init__()
        self.log, self.epochs = log, epochs

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.start_time = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        values = logs or {}
        left = (time.monotonic() - self.start_time) / (epoch + 1) * (self.epochs - epoch - 1)
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
