"""A trained network, used: its predictions, and what it was shown in training."""

from pathlib import Path

import numpy as np

from overfitting.common.datasets import CLASSES, to_network_input
from overfitting.common.errors import UserError
from overfitting.common.params import Model
from overfitting.training.determinism import keras, tf
from overfitting.training.fitting import networks

BATCH = 500  # images at a time; bounds the memory, does not change the result


def load(model: Model, weights: Path) -> keras.Sequential:
    """Build the network of `model` and load its weights, and nothing but weights.

    A whole saved model could run code when it is loaded; a weights file cannot.

    Raises:
        UserError: the file has no weights, or those of another network.
    """
    network = networks.build(model)
    try:
        network.load_weights(weights)
    except (ValueError, KeyError, OSError) as error:  # h5py's OSError names no file
        reason = " ".join(str(error).split())
        raise UserError(f"{weights} does not fit the network of params.yaml: {reason}") from None
    return network


def predict(network: keras.Sequential, images: np.ndarray) -> np.ndarray:
    """Return the class probabilities (float32, N×10) of N uint8 images, in inference mode."""
    if not len(images):  # Keras refuses none
        return np.empty((0, len(CLASSES)), dtype=np.float32)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(BATCH).map(networks.scaled)
    return network.predict(batches, verbose=0)


def augmented_images(model: Model, images: np.ndarray, draws: int) -> np.ndarray:
    """Return random draws of what the network sees of images in training.

    Args:
        images: uint8, N×28×28.

    Returns:
        uint8, N×draws×28×28; copies of the images if the model does not augment.
    """
    repeated = np.repeat(images, draws, axis=0)
    if layers := networks.augmentation(model.augmentation):
        augmented = to_network_input(repeated)
        for layer in layers:
            augmented = layer(augmented, training=True)
        repeated = np.rint(np.asarray(augmented)[..., 0] * 255).astype(np.uint8)
    return repeated.reshape(len(images), draws, *images.shape[1:])
