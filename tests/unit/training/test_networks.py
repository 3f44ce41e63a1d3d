"""The networks are those of the lesson; what regularizes acts in training only."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.project import ROOT

from overfitting.common import datasets, params  # isort: skip
from overfitting.evaluation import inference  # isort: skip
from overfitting.training import determinism, networks  # isort: skip
import lesson  # after determinism, whose settings must stand before TensorFlow is imported
from overfitting.common.params import Model, TrainingOverride
from overfitting.evaluation import metrics
from overfitting.training import fitting

MODELS = params.read(ROOT / "params.yaml").models
LOG = logging.getLogger("test")


def settings(layer: Any) -> dict[str, Any]:
    """A layer's configuration without what each instance has of its own."""
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "seed")}
    return {"type": type(layer).__name__, **config}


@pytest.mark.parametrize("model", ["baseline", "regularized"])
def test_a_network_is_the_lessons_layer_by_layer(model: str) -> None:
    network = networks.build(MODELS[model])
    assert [settings(layer) for layer in network.layers] == [
        settings(layer) for layer in lesson.BUILD[model]().layers
    ]
    assert network.count_params() == 225_034


def backbone(model: Model) -> list[dict[str, Any]]:
    found = [settings(layer) for layer in networks.build(model).layers]
    return [layer for layer in found if not layer["type"].startswith(("Random", "Dropout"))]


def test_both_have_the_same_backbone() -> None:
    assert backbone(MODELS["baseline"]) == backbone(MODELS["regularized"])


def test_batch_norm_stands_between_each_layer_and_its_activation() -> None:
    types = [settings(layer)["type"] for layer in networks.build(MODELS["batch_norm"]).layers]
    normalised = ["BatchNormalization", "Activation"]
    assert types == [
        *("Conv2D", *normalised, "MaxPooling2D"),
        *("Conv2D", *normalised, "MaxPooling2D"),
        *("Flatten", "Dense", *normalised, "Dense"),
    ]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(40, 28, 28)).astype(np.uint8)


@pytest.mark.parametrize("model", MODELS)
def test_nothing_random_happens_at_evaluation(model: str, images: np.ndarray) -> None:
    network = networks.build(MODELS[model])
    plain = networks.build(Model(batch_norm=MODELS[model].batch_norm))
    plain.set_weights([w for w in network.get_weights() if w.dtype == np.float32])
    expected = plain(datasets.to_network_input(images), training=False)
    assert np.array_equal(network(datasets.to_network_input(images), training=False), expected)


@pytest.mark.parametrize("model", ["dropout_only", "augmentation_only"])
def test_each_technique_acts_in_training(model: str, images: np.ndarray) -> None:
    network = networks.build(MODELS[model])
    in_network = datasets.to_network_input(images)
    assert not np.array_equal(network(in_network, training=True), network(in_network))


def test_augmentation_moves_and_mirrors_images_and_leaves_their_pixels(
    images: np.ndarray,
) -> None:
    model = Model.model_validate({"augmentation": {"flip": "horizontal"}})
    seen = inference.augmented_images(model, images, draws=6)
    assert seen.shape == (40, 6, 28, 28)
    for original, draws in zip(images, seen, strict=True):
        for draw in draws:
            assert np.array_equal(draw, original) or np.array_equal(draw, original[:, ::-1])
    assert np.array_equal(
        inference.augmented_images(Model(), images, draws=2), np.stack([images] * 2, axis=1)
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    from overfitting.common.errors import UserError

    weights = tmp_path / "other.weights.h5"
    networks.build(MODELS["baseline"]).save_weights(weights)
    with pytest.raises(UserError, match="does not fit the network"):
        inference.load(MODELS["batch_norm"], weights)


def some_training(**changes: Any) -> params.Training:
    usual = {"epochs": 2, "batch_size": 16, "validation_split": 0.25, "learning_rate": 0.001}
    return params.Training.model_validate(usual | changes)


def some_examples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, size=(200, 28, 28)).astype(np.uint8)
    return images, random.integers(0, 10, 200)


@pytest.mark.parametrize("model", ["baseline", "regularized"])
def test_training_is_the_lessons_to_the_bit(model: str) -> None:
    """The lesson's model, compiled and fitted as the lesson does, on the same batches."""
    images, labels = some_examples()
    usual = some_training(batch_size=64, validation_split=0.2)
    determinism.be_deterministic(3)
    network, history = fitting.train(MODELS[model], usual, images, labels, LOG)
    determinism.be_deterministic(3)
    expected = lesson.BUILD[model]()
    expected.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted = expected.fit(
        fitting.shuffled_batches(images[:160], labels[:160], 64),
        validation_data=(datasets.to_network_input(images[160:]), labels[160:]),
        validation_batch_size=64,
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    for ours, theirs in zip(network.get_weights(), expected.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert history.val_accuracy == fitted["val_accuracy"]
    assert history.accuracy == fitted["accuracy"]


def test_every_epoch_has_every_image_once_in_another_order() -> None:
    numbers = np.arange(100)
    images = numbers[:, None, None].astype(np.uint8)
    scaled = datasets.to_network_input(images)

    def orders(seed: int) -> list[list[int]]:
        determinism.be_deterministic(seed)
        batches = fitting.shuffled_batches(images, numbers, 32)
        epochs = []
        for _ in range(3):
            seen = [(images.numpy(), labels.numpy()) for images, labels in batches]
            assert [len(labels) for _, labels in seen] == [32, 32, 32, 4]
            assert all(np.array_equal(images, scaled[labels]) for images, labels in seen)
            epochs.append([int(label) for _, labels in seen for label in labels])
        return epochs

    first, second, third = orders(0)
    assert sorted(first) == sorted(second) == sorted(third) == list(numbers)
    assert first != list(numbers)
    assert first != second != third != first
    assert orders(0) == [first, second, third]
    assert orders(1)[0] != first


def test_keras_itself_would_shuffle_every_epoch_alike() -> None:
    """Why `shuffled_batches` is there: when this fails, Keras has mended it."""
    seen: list[list[int]] = []

    class Listening(determinism.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = determinism.keras.layers.Dense(1)

        def call(self, values: Any) -> Any:
            return self.dense(values)

        def train_step(self, data: Any) -> Any:
            seen.append(data[0].numpy().ravel().astype(int).tolist())
            return super().train_step(data)

    determinism.be_deterministic(0)
    values = np.arange(50, dtype=np.float32)[:, None]
    listening = Listening()
    listening.compile(loss="mse", run_eagerly=True)
    listening.fit(values, values, epochs=2, batch_size=50, verbose=0)
    assert sorted(seen[0]) == list(range(50)) != seen[0]
    assert seen[0] == seen[1]


def test_one_thread_computes_whatever_is_offered() -> None:
    """oneDNN's results depend on the number of threads, so a process has one."""
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1


def test_early_stopping_restores_the_best_weights() -> None:
    images, labels = some_examples()
    model = Model.model_validate({"early_stopping": {"patience": 2}})
    determinism.be_deterministic(0)
    network, history = fitting.train(
        model, some_training(epochs=40, learning_rate=0.003), images, labels, LOG
    )
    assert len(history.val_loss) < 40
    assert len(history.val_loss) == history.best_epoch + 2
    loss, _ = network.evaluate(datasets.to_network_input(images[150:]), labels[150:], verbose=0)
    assert loss == pytest.approx(min(history.val_loss), rel=1e-5)


def test_divergence_is_refused() -> None:
    from overfitting.common.errors import UserError

    images, labels = some_examples()
    with pytest.raises(UserError, match=r"diverged with learning_rate = 1e\+30"):
        fitting.train(Model(), some_training(learning_rate=1e30), images, labels, LOG)


def test_a_model_overrides_training() -> None:
    override = Model(training=TrainingOverride(epochs=7))
    assert params.effective_training(some_training(), override) == some_training(epochs=7)
    assert params.effective_training(some_training(), Model()) == some_training()


def test_measures_agree_with_keras(images: np.ndarray) -> None:

    labels = np.arange(40) % 10
    network = networks.build(MODELS["regularized"])
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(datasets.to_network_input(images), labels, verbose=0)
    probabilities = inference.predict(network, images)
    assert metrics.accuracy(probabilities, labels) == pytest.approx(accuracy)
    assert metrics.cross_entropy(probabilities, labels) == pytest.approx(loss, rel=1e-5)
