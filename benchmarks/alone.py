"""One computation in a process of its own, measured from inside; its last line is JSON.

    python benchmarks/alone.py pipeline baseline
    python benchmarks/alone.py stage train baseline 0 …

In a folder with the raw files: an epoch of a model, trained as the stage train does (`pipeline`),
as the lesson does (`lesson`) or in PyTorch (`pytorch`); or what a stage's script does after its
imports (`stage`); or no training, but how fast one core multiplies matrices (`sgemm`), which is
what training could reach at best.
"""

import importlib
import json
import logging
import sys
import time
from pathlib import Path

import numpy as np

RAW = Path("data", "raw")
IMAGES = 15000
EPOCHS = 3


def raw_examples() -> tuple[np.ndarray, np.ndarray]:
    """Return the first images (uint8, N×28×28) and labels of the training set."""
    from overfitting.data.idx import read_idx

    images = read_idx(RAW / "train-images-idx3-ubyte", 3)
    return images[:IMAGES], read_idx(RAW / "train-labels-idx1-ubyte", 1)[:IMAGES]


def per_epoch(ends: list[float]) -> dict[str, float]:
    """Return the CPU-seconds of an epoch, from those of the process at the end of each.

    The first epoch holds what is done once: tracing, the first use of every kernel.
    """
    return {"cpu": float(np.median(np.diff(ends)))}


def pipeline(model: str) -> dict[str, float]:
    from overfitting.common import params
    from overfitting.training import determinism, fitting

    determinism.enable_determinism(0)
    declared = params.read(Path("params.yaml"))
    ends: list[float] = []

    def end_of_epoch(record: logging.LogRecord) -> bool:
        ends.append(time.process_time())  # the training logs one line per epoch
        return True

    log = logging.getLogger("benchmark")
    log.setLevel(logging.INFO)
    log.addFilter(end_of_epoch)
    settings = declared.training.model_copy(update={"epochs": EPOCHS})
    fitting.train(declared.models[model], settings, *raw_examples(), log)
    return per_epoch(ends)


def lesson(model: str) -> dict[str, float]:
    from tensorflow import keras

    import lesson as script

    ends: list[float] = []
    at_end = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.process_time())
    )
    script.train(model, *script.load(RAW, "train", IMAGES), EPOCHS, [at_end])
    return per_epoch(ends)


def pytorch(model: str) -> dict[str, float]:
    import pytorch as script

    images, labels = raw_examples()
    scaled = (images[..., np.newaxis] / 255).astype(np.float32)
    return per_epoch([time.process_time() for _ in script.epochs(model, scaled, labels, EPOCHS)])


def stage(name: str, *arguments: str) -> dict[str, float]:
    from overfitting.evaluation import inference  # noqa: F401
    from overfitting.training import determinism, fitting  # noqa: F401

    script = importlib.import_module(name)
    begun = time.process_time()
    script.main(list(arguments))
    return {"cpu": time.process_time() - begun}


def sgemm(size: int = 1024, seconds: float = 1.0) -> dict[str, float]:
    """Return the speed of a float32 matrix product on one thread, in GFLOP/s: median and best.

    The number of threads is set by OPENBLAS_NUM_THREADS before NumPy is loaded.
    """
    left, right = np.random.default_rng(0).random((2, size, size), dtype=np.float32)
    left @ right
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - begun)
    work = 2 * size**3 / 1e9
    return {"gflops": work / float(np.median(times)), "best_gflops": work / min(times)}


def gflop_per_epoch() -> float:
    """Return the work of an epoch of the baseline with its validation, in GFLOP.

    Two operations per multiplication and addition of the convolutions and dense layers; backwards,
    each layer needs as many for its weights and again for its input, but for the first one's input.
    """
    convolutions = 2 * 26 * 26 * 32 * 9, 2 * 11 * 11 * 64 * 9 * 32
    forward = sum(convolutions) + 2 * (1600 * 128 + 128 * 10)
    training = 3 * forward - convolutions[0]
    return IMAGES * (0.8 * training + 0.2 * forward) / 1e9


if __name__ == "__main__":
    way, *words = sys.argv[1:]
    print(json.dumps(globals()[way](*words)))
