"""Keras and TensorFlow, imported with the settings that make their results reproducible.

Import both from here: TensorFlow reads these settings only once, when it is imported.
"""

import gc
import os
import platform

# oneDNN is faster than TensorFlow's other kernels, but off by default on some processors.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Allocate GPU memory as needed: by default, the first training would leave none for the others.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# The imports create many objects that all stay alive. With the garbage collector disabled, which
# would scan them again and again, the imports take two thirds of the time.
gc.disable()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["enable_determinism", "keras", "tf", "versions"]

# Each process computes with one thread: oneDNN's kernels for AVX-512 split their sums by the number
# of threads, so the results would depend on how many cores a machine has. Parallelism comes from
# running several processes, one per model and seed.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)


def enable_determinism(seed: int) -> None:
    """Make TensorFlow's results the same bytes for the same seed.

    Call it before anything else that uses TensorFlow.

    Args:
        seed: 0 to 4294967295; seeds Python, NumPy and TensorFlow.
    """
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def versions() -> dict[str, str]:
    """Return the versions of the software that computes the weights, by name."""
    return {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
    }
