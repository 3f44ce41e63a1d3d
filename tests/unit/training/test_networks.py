"""Networks and training match the lesson that this project follows, and are deterministic.

The regularizing layers act only in training.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.project import ROOT

from overfitting.common import params  # isort: skip
from overfitting.evaluation import inference  # isort: skip
from overfitting.training import determinism, networks  # isort: skip
import lesson  # after determinism, which must be imported before TensorFlow
from overfitting.common.errors import UserError
from overfitting.common.params import Model, TrainingOverride
from overfitting.evaluation import metrics
from overfitting.training import fitting

MODELS = params.read(ROOT / "params.yaml").models
LOG = logging.getLogger("test")


def settings(layer: Any) -> dict[str, Any]:
    """The configuration of a layer, without the keys that differ between instances."""
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "seed")}
    return {"type": type(layer).__name__, **config}


@pytest.mark.parametrize("model", ["baseline", "regularized"])
def test_networks_match_the_lesson_layer_by_layer(model: str) -> None:
    network = networks.build(MODELS[model])
    assert [settings(layer) for layer in network.layers] == [
        settings(layer) for layer in lesson.BUILD[model]().layers
    ]
    assert network.count_params() == 225_034


def backbone(model: Model) -> list[dict[str, Any]]:
    layers = [settings(layer) for layer in networks.build(model).layers]
    return [layer for layer in layers if not layer["type"].startswith(("Random", "Dropout"))]


def test_baseline_and_regularized_share_a_backbone() -> None:
    assert backbone(MODELS["baseline"]) == backbone(MODELS["regularized"])


def test_batch_norm_is_between_each_layer_and_its_activation() -> None:
    types = [settings(layer)["type"] for layer in networks.build(MODELS["batch_norm"]).layers]
    activation = ["BatchNormalization", "Activation"]
    assert types == [
        *("Conv2D", *activation, "MaxPooling2D"),
        *("Conv2D", *activation, "MaxPooling2D"),
        *("Flatten", "Dense", *activation, "Dense"),
    ]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(40, 28, 28)).astype(np.uint8)


def test_pixels_are_scaled_to_the_same_bits_directly_and_in_a_pipeline() -> None:
    images = np.resize(np.arange(256, dtype=np.uint8), (2, 28, 28))  # every value of a pixel
    [in_pipeline] = determinism.tf.data.Dataset.from_tensors(images).map(networks.scale_pixels)
    for scaled in (networks.scale_pixels(images), in_pipeline):
        assert scaled.dtype == np.float32
        assert np.array_equal(scaled, images[..., np.newaxis] / np.float32(255))


@pytest.mark.parametrize("model", MODELS)
def test_inference_applies_no_regularization(model: str, images: np.ndarray) -> None:
    network = networks.build(MODELS[model])
    plain = networks.build(Model(batch_norm=MODELS[model].batch_norm))
    plain.set_weights([w for w in network.get_weights() if w.dtype == np.float32])
    expected = plain(networks.scale_pixels(images), training=False)
    assert np.array_equal(network(networks.scale_pixels(images), training=False), expected)


@pytest.mark.parametrize("model", ["dropout_only", "augmentation_only"])
def test_each_technique_acts_in_training(model: str, images: np.ndarray) -> None:
    network = networks.build(MODELS[model])
    inputs = networks.scale_pixels(images)
    assert not np.array_equal(network(inputs, training=True), network(inputs))


def test_augmented_images_are_the_originals_or_mirrored(images: np.ndarray) -> None:
    model = Model.model_validate({"augmentation": {"flip": "horizontal"}})
    augmented = inference.augmented_images(model, images, draws=6)
    assert augmented.shape == (40, 6, 28, 28)
    for original, draws in zip(images, augmented, strict=True):
        for draw in draws:
            assert np.array_equal(draw, original) or np.array_equal(draw, original[:, ::-1])
    assert np.array_equal(
        inference.augmented_images(Model(), images, draws=2), np.stack([images] * 2, axis=1)
    )


def test_weights_of_another_network_are_rejected(tmp_path: Path) -> None:
    weights = tmp_path / "other.weights.h5"
    networks.build(MODELS["baseline"]).save_weights(weights)
    with pytest.raises(UserError, match="does not match the network"):
        inference.load(MODELS["batch_norm"], weights)


def short_training(**changes: Any) -> params.Training:
    defaults = {"epochs": 2, "batch_size": 16, "validation_split": 0.25, "learning_rate": 0.001}
    return params.Training.model_validate(defaults | changes)


def random_examples() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, size=(200, 28, 28)).astype(np.uint8)
    return images, rng.integers(0, 10, 200)


@pytest.mark.parametrize("model", ["baseline", "regularized"])
def test_training_matches_the_lesson_bit_for_bit(model: str) -> None:
    """The reference is the lesson's model, compiled and trained as there, on the same batches."""
    images, labels = random_examples()
    training = short_training(batch_size=64, validation_split=0.2)
    determinism.enable_determinism(3)
    network, history = fitting.train(MODELS[model], training, images, labels, LOG)
    determinism.enable_determinism(3)
    expected = lesson.BUILD[model]()
    expected.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted = expected.fit(
        fitting.shuffled_batches(images[:160], labels[:160], 64),
        validation_data=(networks.scale_pixels(images[160:]), labels[160:]),
        validation_batch_size=64,
        epochs=2,
        shuffle=False,
        verbose=0,
    ).history
    for ours, theirs in zip(network.get_weights(), expected.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert history.val_accuracy == fitted["val_accuracy"]
    assert history.accuracy == fitted["accuracy"]


@pytest.mark.parametrize("model", ["baseline", "regularized"])
def test_a_longer_training_begins_with_the_epochs_of_a_shorter_one(model: str) -> None:
    images, labels = (examples[:80] for examples in random_examples())
    curves = {}
    for epochs in (15, 30, 60):
        determinism.enable_determinism(3)
        training = short_training(epochs=epochs, batch_size=32)
        _, history = fitting.train(MODELS[model], training, images, labels, LOG)
        curves[epochs] = history
    for epochs in (15, 30):
        for name in ("accuracy", "loss", "val_accuracy", "val_loss"):
            assert getattr(curves[60], name)[:epochs] == getattr(curves[epochs], name)


def test_every_epoch_has_every_image_once_in_a_new_order() -> None:
    indices = np.arange(100)
    images = indices[:, None, None].astype(np.uint8)
    scaled = networks.scale_pixels(images).numpy()

    def orders(seed: int) -> list[list[int]]:
        determinism.enable_determinism(seed)
        batches = fitting.shuffled_batches(images, indices, 32)
        epochs = []
        for _ in range(3):
            epoch = [(images.numpy(), labels.numpy()) for images, labels in batches]
            assert [len(labels) for _, labels in epoch] == [32, 32, 32, 4]
            assert all(np.array_equal(images, scaled[labels]) for images, labels in epoch)
            epochs.append([int(label) for _, labels in epoch for label in labels])
        return epochs

    first, second, third = orders(0)
    assert sorted(first) == sorted(second) == sorted(third) == list(indices)
    assert first != list(indices)
    assert first != second != third != first
    assert orders(0) == [first, second, third]
    assert orders(1)[0] != first


def test_keras_itself_shuffles_every_epoch_in_the_same_order() -> None:
    """If this fails, Keras has fixed it, and `shuffled_batches` is no longer needed."""
    epochs: list[list[int]] = []

    class RecordingModel(determinism.keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = determinism.keras.layers.Dense(1)

        def call(self, values: Any) -> Any:
            return self.dense(values)

        def train_step(self, data: Any) -> Any:
            epochs.append(data[0].numpy().ravel().astype(int).tolist())
            return super().train_step(data)

    determinism.enable_determinism(0)
    values = np.arange(50, dtype=np.float32)[:, None]
    model = RecordingModel()
    model.compile(loss="mse", run_eagerly=True)
    model.fit(values, values, epochs=2, batch_size=50, verbose=0)
    assert sorted(epochs[0]) == list(range(50)) != epochs[0]
    assert epochs[0] == epochs[1]


def test_tensorflow_uses_one_thread() -> None:
    """The results of oneDNN depend on the number of threads."""
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1


def test_early_stopping_restores_the_best_weights() -> None:
    images, labels = random_examples()
    model = Model.model_validate({"early_stopping": {"patience": 2}})
    determinism.enable_determinism(0)
    network, history = fitting.train(
        model, short_training(epochs=40, learning_rate=0.003), images, labels, LOG
    )
    assert len(history.val_loss) < 40
    assert len(history.val_loss) == history.best_epoch + 2
    loss, _ = network.evaluate(networks.scale_pixels(images[150:]), labels[150:], verbose=0)
    assert loss == pytest.approx(min(history.val_loss), rel=1e-5)


def test_divergence_is_reported() -> None:
    images, labels = random_examples()
    with pytest.raises(UserError, match=r"diverged with learning_rate = 1e\+30"):
        fitting.train(Model(), short_training(learning_rate=1e30), images, labels, LOG)


def test_a_model_can_override_training_settings() -> None:
    model = Model(training=TrainingOverride(epochs=7))
    assert params.effective_training(short_training(), model) == short_training(epochs=7)
    assert params.effective_training(short_training(), Model()) == short_training()


def test_metrics_agree_with_keras(images: np.ndarray) -> None:
    labels = np.arange(40) % 10
    network = networks.build(MODELS["regularized"])
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(networks.scale_pixels(images), labels, verbose=0)
    probabilities = inference.predict(network, images)
    assert metrics.accuracy(probabilities, labels) == pytest.approx(accuracy)
    assert metrics.cross_entropy(probabilities, labels) == pytest.approx(loss, rel=1e-5)
