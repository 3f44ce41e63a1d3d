"""What was tried to make training faster, side by side in one process; prints a line of JSON.

    python benchmarks/attempts.py baseline data/raw

Every attempt trains a network of its own, sixteen steps at a time, in random order, so that all
see the same machine. The figure is the median ratio of its CPU time to that of the pipeline's
way in the same turn: below 1 is faster.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from overfitting.common import params
from overfitting.data.idx import read_idx
from overfitting.training import determinism, fitting, networks
from overfitting.training.determinism import keras

STEPS = 16
TURNS = 40


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=["baseline", "regularized"])
    parser.add_argument("raw", type=Path, help="folder with the four raw files")
    parser.add_argument("--turns", type=int, default=TURNS)
    arguments = parser.parse_args(argv)
    determinism.enable_determinism(0)
    settings = params.read(Path("params.yaml")).models[arguments.model]
    images = read_idx(arguments.raw / "train-images-idx3-ubyte", 3)[:12000]
    labels = read_idx(arguments.raw / "train-labels-idx1-ubyte", 1)[:12000]

    usual = networks.build(settings)
    attempts = {
        "the pipeline": stepper(usual, images, labels),
        "one step per call": stepper(networks.build(settings), images, labels, per_call=1),
        "XLA": stepper(networks.build(settings), images, labels, jit_compile=True),
        "ReLU after pooling": stepper(relu_after_pooling(usual), images, labels),
        "fused Adam": stepper(networks.build(settings), images, labels, optimizer=FusedAdam()),
        "dropout from random bytes": stepper(byte_dropout(usual), images, labels),
    }
    if arguments.model == "baseline":
        del attempts["dropout from random bytes"]  # it has no dropout
    times = measure(attempts, arguments.turns)
    ratios = np.median(times / times[:, :1], axis=0)
    print(json.dumps(dict(zip(list(attempts)[1:], ratios[1:].tolist(), strict=True))))


def stepper(
    network: keras.Sequential,
    images: np.ndarray,
    labels: np.ndarray,
    per_call: int = STEPS,
    optimizer: keras.optimizers.Optimizer | None = None,
    jit_compile: bool = False,
) -> Callable[[], None]:
    """Return a function that trains `network` by `STEPS` batches of 64."""
    network.compile(
        optimizer=optimizer or keras.optimizers.Adam(),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=per_call,
        jit_compile=jit_compile,
    )
    batches = iter(fitting.shuffled_batches(images, labels, batch_size=64).repeat())
    network.make_train_function()

    def steps() -> None:
        for _ in range(STEPS // per_call):
            network.train_function(batches)

    return steps


def relu_after_pooling(network: keras.Sequential) -> keras.Sequential:
    """Return the same network with each ReLU after its pooling, on a quarter of the values.

    The largest of four values cut off at 0 is the largest of them, cut off: the same bytes.
    """
    layers = []
    for layer in rebuilt(network):
        if isinstance(layer, keras.layers.Conv2D):
            layer.activation = keras.activations.linear
        layers.append(layer)
        if isinstance(layer, keras.layers.MaxPooling2D):
            layers.append(keras.layers.Activation("relu"))
    return keras.Sequential([keras.layers.Input((28, 28, 1)), *layers])


def byte_dropout(network: keras.Sequential) -> keras.Sequential:
    """Return the same network with a dropout that draws a byte per value, not a float."""
    layers = [
        ByteDropout(layer.rate) if isinstance(layer, keras.layers.Dropout) else layer
        for layer in rebuilt(network)
    ]
    return keras.Sequential([keras.layers.Input((28, 28, 1)), *layers])


def rebuilt(network: keras.Sequential) -> list[keras.Layer]:
    """Return new, untrained layers like those of `network`."""
    return [type(layer)(**layer.get_config()) for layer in network.layers]


class ByteDropout(keras.layers.Layer):
    """Dropout whose rate is a multiple of 1/256; four decisions from each random number."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate, self.seeds = rate, keras.random.SeedGenerator(0)

    def call(self, values: Any, training: bool = False) -> Any:
        import tensorflow as tf

        if not training:
            return values
        count = tf.size(values)
        drawn = tf.random.stateless_uniform(
            [(count + 3) // 4], self.seeds.next(), None, None, tf.int32
        )
        drawn = tf.reshape(tf.bitcast(drawn, tf.uint8), [-1])[:count]
        kept = tf.reshape(drawn >= round(256 * self.rate), tf.shape(values))
        return tf.where(kept, values / (1 - self.rate), 0.0)


class FusedAdam(keras.optimizers.Adam):
    """Adam whose update of a variable is one operation instead of a dozen."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        step = tf.cast(self.iterations + 1, tf.float32)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def measure(attempts: dict[str, Callable[[], None]], turns: int) -> np.ndarray:
    """Return the CPU-seconds of each attempt in each turn, turns×attempts."""
    steppers = list(attempts.values())
    for steps in steppers:  # trace, and use every kernel once
        steps()
    times = np.empty((turns, len(steppers)))
    order = np.random.default_rng(0)
    for turn in range(turns):
        for number in order.permutation(len(steppers)):
            begun = time.process_time()
            steppers[number]()
            times[turn, number] = time.process_time() - begun
    return times


if __name__ == "__main__":
    main(sys.argv[1:])
