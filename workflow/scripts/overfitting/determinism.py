"""Keras, with what makes its results reproducible set before it is imported.

Import keras from here: TensorFlow reads these settings once, when it is loaded.
"""

import os

# oneDNN is faster than what it replaces, but off by default on some processors. Its kernels for
# AVX-512 split sums by the number of threads, those for AVX2 do not: the limit makes 1, 2 and 4
# threads agree to the bit (measured; it costs a fifth to a third of the speed where there is
# AVX-512).
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

__all__ = ["be_deterministic", "keras"]


def be_deterministic(seed: int) -> None:
    """Make TensorFlow give the same bytes for the same seed; call it before anything else.

    The number of threads is taken from OMP_NUM_THREADS, which Snakemake sets to a rule's
    `threads`; without it TensorFlow uses every core. The result does not depend on it.
    """
    if threads := int(os.environ.get("OMP_NUM_THREADS", 0)):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
