"""Where the time of a training step goes, by TensorFlow's profiler; prints a line of JSON.

python benchmarks/profile_steps.py baseline data/raw

Shares of the time of a step, by part of the network, forwards and backwards together; and how
fast the second convolution computes, which is most of the arithmetic.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import attempts
import training_alone
from overfitting.common import params
from overfitting.data.idx import read_idx
from overfitting.training import determinism, networks
from overfitting.training.determinism import keras

PARTS = {
    "first convolution and its ReLU": r"/first_conv",
    "second convolution and its ReLU": r"/second_conv",
    "pooling": r"/max_pooling2d",
    "dense layers": r"/dense",
    "dropout": r"/dropout",
    "augmentation": r"/random_",
    "Adam": r"/adam/",
}
TURNS = 8


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=["baseline", "regularized"])
    parser.add_argument("raw", type=Path, help="folder with the four raw files")
    arguments = parser.parse_args(argv)
    determinism.enable_determinism(0)
    images = read_idx(arguments.raw / "train-images-idx3-ubyte", 3)[:12000]
    labels = read_idx(arguments.raw / "train-labels-idx1-ubyte", 1)[:12000]
    network = networks.build(params.read(Path("params.yaml")).models[arguments.model])
    steps = attempts.stepper(with_named_convolutions(network), images, labels)
    steps()

    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(TURNS):
                steps()
        [trace] = Path(folder).rglob("*.xplane.pb")
        times = by_operation(trace.read_bytes())
    whole = sum(time for name, time in times.items() if name.startswith("EagerKernelExecute"))
    found = {
        part: sum(time for name, time in times.items() if ":" in name and re.search(pattern, name))
        for part, pattern in PARTS.items()
    }
    shares = {part: time / whole for part, time in found.items()}
    shares["everything else"] = 1 - sum(shares.values())
    work = 3 * training_alone.flop_of_second_convolution() * 64 * attempts.STEPS * TURNS
    speed = work / 1e9 / found["second convolution and its ReLU"]
    print(json.dumps(shares | {"second convolution, GFLOP/s": speed}))


def with_named_convolutions(network: keras.Sequential) -> keras.Sequential:
    """Return the same network, its two convolutions named so that a trace tells them apart."""
    names = iter(["first_conv", "second_conv"])
    layers = []
    for layer in network.layers:
        config = layer.get_config()
        if isinstance(layer, keras.layers.Conv2D):
            config["name"] = next(names)
        layers.append(type(layer)(**config))
    return keras.Sequential([keras.layers.Input((28, 28, 1)), *layers])


def by_operation(trace: bytes) -> dict[str, float]:
    """Return the seconds that each named event took in all."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space = xplane_pb2.XSpace()
    space.ParseFromString(trace)
    times: dict[str, float] = {}
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                times[name] = times.get(name, 0.0) + event.duration_ps / 1e12
    return times


if __name__ == "__main__":
    main(sys.argv[1:])
