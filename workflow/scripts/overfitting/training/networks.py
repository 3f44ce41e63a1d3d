"""A model entry of `params.yaml` in, a Keras model out.

The lesson's two networks share one backbone; what an entry names is put around and between
its layers. Augmentation and dropout act in training only, Keras switches them off itself.
"""

from collections.abc import Callable
from functools import partial

from overfitting.common.datasets import CLASSES
from overfitting.common.params import Augmentation, Model

from .determinism import keras, tf

layers = keras.layers


def scaled(images: tf.Tensor) -> tf.Tensor:
    """Turn a batch of images as `datasets.to_network_input` does, inside a `tf.data` pipeline.

    All images at once would take four times the memory as floating-point numbers.

    Args:
        images: uint8, N×28×28.
    """
    return tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0


def build(model: Model) -> keras.Sequential:
    """Build the network of `model`, untrained: 28×28×1 in [0, 1] in, 10 probabilities out."""
    return keras.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            *augmentation(model.augmentation),
            *activated(partial(layers.Conv2D, 32, kernel_size=3), model.batch_norm),
            layers.MaxPooling2D(pool_size=2),
            *dropout(model.dropout.conv),
            *activated(partial(layers.Conv2D, 64, kernel_size=3), model.batch_norm),
            layers.MaxPooling2D(pool_size=2),
            *dropout(model.dropout.conv),
            layers.Flatten(),
            *activated(partial(layers.Dense, 128), model.batch_norm),
            *dropout(model.dropout.dense),
            layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )


def activated(layer: Callable[..., keras.Layer], batch_norm: bool) -> list[keras.Layer]:
    """Return a layer with its ReLU, and batch normalisation between the two if asked for."""
    if batch_norm:
        return [layer(), layers.BatchNormalization(), layers.Activation("relu")]
    return [layer(activation="relu")]


def dropout(rate: float) -> list[keras.Layer]:
    """Return the layer that sets a share `rate` of its inputs to zero; none for 0."""
    return [layers.Dropout(rate)] if rate else []


def augmentation(settings: Augmentation) -> list[keras.Layer]:
    """Return the layers that change training images at random; none where nothing is set."""
    found: list[keras.Layer] = []
    if settings.flip:
        found.append(layers.RandomFlip(settings.flip))
    if settings.translation:
        found.append(
            layers.RandomTranslation(
                height_factor=settings.translation, width_factor=settings.translation
            )
        )
    return found
