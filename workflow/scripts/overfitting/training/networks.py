"""Build the Keras model that an entry under `models` in `params.yaml` describes.

The two networks of the lesson that this project follows share one backbone; an entry adds layers
before it and between its layers. Augmentation and dropout act only in training: Keras disables them
at inference.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from overfitting.common.datasets import N_CLASSES
from overfitting.common.params import Augmentation, Model

from .determinism import keras, tf

layers = keras.layers


def scale_pixels(images: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Convert images to what a network takes.

    Large sets are converted batch by batch, in a `tf.data` pipeline: as float32, all images at once
    would take four times as much memory as they do as uint8. A pipeline gives the same bits as a
    direct call, but a `tf.function` does not: it multiplies by the rounded 1/255.

    Args:
        images: uint8, N×28×28, 0 to 255.

    Returns:
        float32, N×28×28×1, 0 to 1.
    """
    return tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0


def build(model: Model) -> keras.Sequential:
    """Return the untrained network of `model`.

    It takes a batch of images, N×28×28×1 in [0, 1], and returns class probabilities, N×10.
    """
    return keras.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            *augmentation(model.augmentation),
            *with_activation(partial(layers.Conv2D, 32, kernel_size=3), model.batch_norm),
            layers.MaxPooling2D(pool_size=2),
            *dropout(model.dropout.conv),
            *with_activation(partial(layers.Conv2D, 64, kernel_size=3), model.batch_norm),
            layers.MaxPooling2D(pool_size=2),
            *dropout(model.dropout.conv),
            layers.Flatten(),
            *with_activation(partial(layers.Dense, 128), model.batch_norm),
            *dropout(model.dropout.dense),
            layers.Dense(N_CLASSES, activation="softmax"),
        ]
    )


def with_activation(layer: Callable[..., keras.Layer], batch_norm: bool) -> list[keras.Layer]:
    """Return a layer and its ReLU, with batch normalization between them if `batch_norm` is set.

    Args:
        layer: creates the layer; takes the keyword argument `activation`.
    """
    if batch_norm:
        return [layer(), layers.BatchNormalization(), layers.Activation("relu")]
    return [layer(activation="relu")]


def dropout(rate: float) -> list[keras.Layer]:
    """Return a dropout layer that sets the share `rate` of its inputs to zero; no layer for 0."""
    return [layers.Dropout(rate)] if rate else []


def augmentation(settings: Augmentation) -> list[keras.Layer]:
    """Return the layers that randomly change training images; no layers if nothing is set."""
    result: list[keras.Layer] = []
    if settings.flip:
        result.append(layers.RandomFlip(settings.flip))
    if settings.translation:
        result.append(
            layers.RandomTranslation(
                height_factor=settings.translation, width_factor=settings.translation
            )
        )
    return result
