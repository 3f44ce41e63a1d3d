"""Predictions of a trained network, and the augmented images that it sees in training."""

from pathlib import Path

import numpy as np

from overfitting.common.datasets import N_CLASSES
from overfitting.common.errors import UserError
from overfitting.common.params import Model
from overfitting.training import networks
from overfitting.training.determinism import keras, tf

from . import metrics

BATCH_SIZE = 500  # limits the memory; does not affect the results


def load(model: Model, weights: Path) -> keras.Sequential:
    """Build the network of `model` and load its weights.

    Unlike a whole saved model, a file of weights cannot execute code when it is loaded.

    Raises:
        UserError: the file holds no weights, or those of another network.
    """
    network = networks.build(model)
    try:
        network.load_weights(weights)
    except (ValueError, KeyError, OSError) as error:  # an OSError of h5py names no file
        reason = " ".join(str(error).split())
        raise UserError(f"{weights} does not match the network in params.yaml: {reason}") from None
    return network


def predict(network: keras.Sequential, images: np.ndarray) -> np.ndarray:
    """Return the class probabilities of images, computed in inference mode.

    Args:
        images: uint8, N×28×28; N may be 0.

    Returns:
        float32, N×10.
    """
    if not len(images):  # Keras cannot predict an empty batch
        return np.empty((0, N_CLASSES), dtype=np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(images)
    batches = dataset.batch(BATCH_SIZE).map(networks.scale_pixels)
    return network.predict(batches, verbose=0)


def train_mode_accuracy(
    network: keras.Sequential, images: np.ndarray, labels: np.ndarray, batch_size: int
) -> float:
    """Return the accuracy in train mode: with dropout and augmentation active, as in training.

    Batch normalization uses the statistics of each batch, and its moving averages change, so the
    network must not be used afterwards.

    Args:
        network: the trained network.
        images: uint8, N×28×28; N is 1 or more.
        labels: N integers, 0 to 9.
        batch_size: that of the training.

    Returns:
        A share, 0 to 1.
    """
    in_train_mode = tf.function(lambda batch: network(batch, training=True), reduce_retracing=True)
    dataset = tf.data.Dataset.from_tensor_slices(images)
    batches = dataset.batch(batch_size).map(networks.scale_pixels)
    probabilities = np.concatenate([in_train_mode(batch).numpy() for batch in batches])
    return metrics.accuracy(probabilities, labels)


def augmented_images(model: Model, images: np.ndarray, draws: int) -> np.ndarray:
    """Return randomly augmented versions of images, as the network sees them in training.

    Args:
        model: the entry under `models` in `params.yaml` whose augmentation is applied.
        images: uint8, N×28×28.
        draws: how many versions of each image, drawn independently.

    Returns:
        uint8, N×draws×28×28; copies of the images if the model uses no augmentation.
    """
    repeated = np.repeat(images, draws, axis=0)
    if layers := networks.augmentation(model.augmentation):
        augmented = networks.scale_pixels(repeated)
        for layer in layers:
            augmented = layer(augmented, training=True)
        repeated = np.rint(np.asarray(augmented)[..., 0] * 255).astype(np.uint8)
    return repeated.reshape(len(images), draws, *images.shape[1:])
