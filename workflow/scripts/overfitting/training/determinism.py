"""Keras and TensorFlow, with what makes its results reproducible set before it is imported.

Import them from here: TensorFlow reads these settings once, when it is loaded.
"""

import gc
import os
import platform

# oneDNN is faster than what it replaces, but off by default on some processors.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Of a GPU's memory take what is needed: one training would else take all, and the others none.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# Python looks again and again for what nobody uses any more. All that is loaded here stays: without
# looking, loading takes two thirds of the time.
gc.disable()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["be_deterministic", "keras", "tf", "versions"]

# A process computes with one thread: with more, oneDNN's kernels for AVX-512 split their sums by
# the number of threads, and so would give other bytes on a machine with other cores. What runs in
# parallel is the processes, one per model and seed.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def be_deterministic(seed: int) -> None:
    """Make TensorFlow give the same bytes for the same seed; call it before anything else."""
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def versions() -> dict[str, str]:
    """Return the versions of what computes the weights, by name."""
    return {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
    }
