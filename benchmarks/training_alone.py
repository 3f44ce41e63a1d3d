"""One training in a process of its own, measured from inside; prints a line of JSON.

    python benchmarks/training_alone.py pipeline baseline data/raw --epochs 3

WAY is `pipeline` (what the stage train does), `lesson`, `pytorch`, or `sgemm`: no training, but
the speed of one core at multiplying matrices, which is what training could reach at best.
"""

import argparse
import json
import logging
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

PIXELS, CLASSES = 28, 10


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=["pipeline", "lesson", "pytorch", "sgemm"])
    parser.add_argument("model", choices=["baseline", "regularized"])
    parser.add_argument("raw", type=Path, help="folder with the four raw files")
    parser.add_argument("--images", type=int, default=15000)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args(argv)
    if arguments.way == "sgemm":
        print(json.dumps(sgemm()))
        return
    ends = globals()[arguments.way](**{k: v for k, v in vars(arguments).items() if k != "way"})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # The first epoch holds what is done once: tracing, the first use of every kernel.
    per_epoch = float(np.median(np.diff(ends)))
    print(json.dumps({"cpu": per_epoch, "first": ends[0], "peak": peak}))


def pipeline(model: str, raw: Path, images: int, epochs: int) -> list[float]:
    """Train as the stage does; return the process's CPU-seconds at the end of each epoch."""
    from overfitting.common import params
    from overfitting.data.idx import read_idx
    from overfitting.training import determinism, fitting

    determinism.enable_determinism(0)
    declared = params.read(Path("params.yaml"))
    clock = EpochClock()
    log = logging.getLogger("benchmark")
    log.setLevel(logging.INFO)
    log.addHandler(clock)
    x = read_idx(raw / "train-images-idx3-ubyte", 3)[:images]
    y = read_idx(raw / "train-labels-idx1-ubyte", 1)[:images]
    settings = declared.training.model_copy(update={"epochs": epochs})
    fitting.train(declared.models[model], settings, x, y, log)
    return clock.ends


class EpochClock(logging.Handler):
    """Notes the process's CPU time at each line that the training logs: one per epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.ends.append(time.process_time())


def lesson(model: str, raw: Path, images: int, epochs: int) -> list[float]:
    """Train as the lesson prints it; return the CPU-seconds at the end of each epoch."""
    from tensorflow import keras

    import lesson as script

    ends: list[float] = []
    at_end = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.process_time())
    )
    with Path(os.devnull).open("w") as sys.stdout:  # what Keras prints is no JSON
        script.train(model, *script.load(raw, "train", images), epochs, [at_end])
    sys.stdout = sys.__stdout__
    return ends


def pytorch(model: str, raw: Path, images: int, epochs: int) -> list[float]:
    """Train in PyTorch; return the CPU-seconds at the end of each epoch."""
    import pytorch as comparison

    x = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8, offset=16)
    y = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8, offset=8)[:images]
    x = (x.reshape(-1, PIXELS, PIXELS, 1)[:images] / 255).astype(np.float32)
    return [time.process_time() for _ in comparison.epochs(model, x, y, epochs)]


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


def flop_per_image() -> tuple[int, int]:
    """Return the floating point operations of one image in training and in validation.

    Two per multiplication and addition of the convolutions and dense layers; backwards, each
    layer needs as many for its weights and again for its input, but for the first one's input.
    """
    first_convolution = 2 * 26 * 26 * 32 * 9
    dense = 2 * (1600 * 128 + 128 * CLASSES)
    forward = first_convolution + flop_of_second_convolution() + dense
    return 3 * forward - first_convolution, forward


def flop_of_second_convolution() -> int:
    """Return the floating point operations of its forward pass for one image."""
    return 2 * 11 * 11 * 64 * 9 * 32


def gflop_per_epoch(images: int = 15000, validation_split: float = 0.2) -> float:
    """Return the work of an epoch with its validation, in GFLOP."""
    in_training, in_validation = flop_per_image()
    held_out = round(images * validation_split)
    return ((images - held_out) * in_training + held_out * in_validation) / 1e9


if __name__ == "__main__":
    main(sys.argv[1:])
