"""What is measured on predicted probabilities: pure functions on arrays."""

import numpy as np


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the share, 0 to 1, of the images whose most probable class is their label.

    Args:
        probabilities: N×classes, each row from the final weights in inference mode.
        labels: N whole numbers, 0 to classes - 1.
    """
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean over the images of -ln p(label), in nats, 0 or more.

    Probabilities are clipped at 1e-7 as Keras does, so that the result is finite.

    Args:
        probabilities: N×classes.
        labels: N whole numbers, 0 to classes - 1.
    """
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(np.mean(-np.log(np.clip(of_label, 1e-7, 1.0))))
