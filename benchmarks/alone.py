"""One computation in a process of its own, measured from inside; its last line is JSON.

    python benchmarks/alone.py epoch pipeline baseline
    python benchmarks/alone.py stage train baseline 0 …
    python benchmarks/alone.py sgemm

In a folder with the raw files: an epoch of a model, trained as the stage train does (`pipeline`),
as the lesson does (`lesson`) or in PyTorch (`pytorch`); what a stage's script does after its
imports; or how fast one core multiplies matrices, which is what training could reach at best.
"""

import importlib
import json
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from overfitting.data.idx import read_idx

RAW = Path("data", "raw")
IMAGES, EPOCHS = 15000, 3
GFLOP = 200.5
"""The work of an epoch of the baseline with its validation.

Two operations per multiplication and addition of the convolutions and dense layers; backwards, each
layer needs as many for its weights and again for its input, but for the first one's input.
"""


def epoch(way: str, model: str) -> dict[str, float]:
    """Return the CPU-seconds of an epoch, but for the first, which holds what is done once."""
    ends: list[float] = []
    globals()[way](model, lambda: ends.append(time.process_time()))
    return {"cpu": float(np.median(np.diff(ends)))}


def raw_examples() -> tuple[np.ndarray, np.ndarray]:
    """Return the first images (uint8, N×28×28) and labels of the training set."""
    images = read_idx(RAW / "train-images-idx3-ubyte", 3)
    return images[:IMAGES], read_idx(RAW / "train-labels-idx1-ubyte", 1)[:IMAGES]


def pipeline(model: str, at_end: Callable[[], object]) -> None:
    from overfitting.common import params
    from overfitting.training import determinism, fitting

    determinism.enable_determinism(0)
    declared = params.read(Path("params.yaml"))
    log: Any = SimpleNamespace(info=lambda *words: at_end())  # the training logs each epoch's end
    settings = declared.training.model_copy(update={"epochs": EPOCHS})
    fitting.train(declared.models[model], settings, *raw_examples(), log)


def lesson(model: str, at_end: Callable[[], object]) -> None:
    from tensorflow import keras

    import lesson as script

    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: at_end())
    examples = script.load(RAW, "train", IMAGES)
    script.train(model, *examples, epochs=EPOCHS, callbacks=[callback])


def pytorch(model: str, at_end: Callable[[], object]) -> None:
    import pytorch as script

    images, labels = raw_examples()
    scaled = (images[..., np.newaxis] / 255).astype(np.float32)
    for _ in script.epochs(model, scaled, labels, EPOCHS):
        at_end()


def stage(name: str, *arguments: str) -> dict[str, float]:
    """Run a stage's script; return the CPU-seconds it takes after its imports."""
    from overfitting.evaluation import inference  # noqa: F401
    from overfitting.training import determinism, fitting  # noqa: F401

    script = importlib.import_module(name)
    begun = time.process_time()
    script.main(list(arguments))
    return {"cpu": time.process_time() - begun}


def sgemm() -> dict[str, float]:
    """Return the speed of a float32 matrix product, in GFLOP/s: median and best."""
    left, right = np.random.default_rng(0).random((2, 1024, 1024), dtype=np.float32)
    _, *times = timeit.repeat(lambda: left @ right, number=1, repeat=50)  # the first is slower
    work = 2 * 1024**3 / 1e9
    return {"gflops": work / float(np.median(times)), "best_gflops": work / min(times)}


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    print(json.dumps(globals()[what](*words)))
