"""The networks are those of the lesson; what regularizes acts in training only."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from overfitting import datasets, determinism, inference, networks, params, training
from overfitting.params import Model, TrainingOverride

MODELS = params.read(ROOT / "params.yaml").models
LOG = logging.getLogger("test")


def lesson_baseline() -> Any:
    """`build_baseline` as the lesson prints it."""
    from keras import layers, models

    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Conv2D(64, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def lesson_regularized() -> Any:
    """`build_regularized` as the lesson prints it."""
    from keras import layers, models

    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.RandomFlip("horizontal"),
            layers.RandomTranslation(height_factor=0.1, width_factor=0.1),
            layers.Conv2D(32, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Dropout(0.25),
            layers.Conv2D(64, kernel_size=3, activation="relu"),
            layers.MaxPooling2D(pool_size=2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def settings(layer: Any) -> dict[str, Any]:
    """A layer's configuration without what each instance has of its own."""
    config = {k: v for k, v in layer.get_config().items() if k not in ("name", "seed")}
    return {"type": type(layer).__name__, **config}


@pytest.mark.parametrize(
    ("model", "lesson"), [("baseline", lesson_baseline), ("regularized", lesson_regularized)]
)
def test_a_network_is_the_lessons_layer_by_layer(model: str, lesson: Any) -> None:
    network = networks.build(MODELS[model])
    assert [settings(layer) for layer in network.layers] == [
        settings(layer) for layer in lesson().layers
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
    seen = inference.seen_in_training(model, images, draws=6)
    assert seen.shape == (40, 6, 28, 28)
    for original, draws in zip(images, seen, strict=True):
        for draw in draws:
            assert np.array_equal(draw, original) or np.array_equal(draw, original[:, ::-1])
    assert np.array_equal(
        inference.seen_in_training(Model(), images, draws=2), np.stack([images] * 2, axis=1)
    )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    from overfitting.errors import UserError

    weights = tmp_path / "other.weights.h5"
    networks.build(MODELS["baseline"]).save_weights(weights)
    with pytest.raises(UserError, match="does not fit the network"):
        inference.load(MODELS["batch_norm"], weights)


def some_training(**changes: Any) -> params.Training:
    usual = {"epochs": 2, "batch_size": 16, "validation_split": 0.25, "learning_rate": 0.001}
    return params.Training.model_validate(usual | changes)


def some_examples() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    return random.random((80, 28, 28, 1), dtype=np.float32), random.integers(0, 10, 80)


def test_the_last_images_are_held_out_as_keras_does() -> None:
    images, labels = some_examples()
    determinism.be_deterministic(3)
    network, history = training.train(Model(), some_training(), images, labels, LOG)
    determinism.be_deterministic(3)
    lesson = lesson_baseline()
    lesson.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    fitted = lesson.fit(
        images, labels, validation_split=0.25, epochs=2, batch_size=16, verbose=0
    ).history
    for ours, theirs in zip(network.get_weights(), lesson.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)  # the lesson's own way, to the bit
    assert history.val_accuracy == fitted["val_accuracy"]
    assert history.accuracy == fitted["accuracy"]


def test_early_stopping_restores_the_best_weights() -> None:
    images, labels = some_examples()
    model = Model.model_validate({"early_stopping": {"patience": 2}})
    determinism.be_deterministic(0)
    network, history = training.train(
        model, some_training(epochs=40, learning_rate=0.003), images, labels, LOG
    )
    assert len(history.val_loss) < 40
    assert len(history.val_loss) == history.best_epoch + 2
    loss, _ = network.evaluate(images[60:], labels[60:], verbose=0)
    assert loss == pytest.approx(min(history.val_loss), rel=1e-5)


def test_divergence_is_refused() -> None:
    from overfitting.errors import UserError

    images, labels = some_examples()
    with pytest.raises(UserError, match=r"diverged with learning_rate = 1e\+30"):
        training.train(Model(), some_training(learning_rate=1e30), images, labels, LOG)


def test_a_model_overrides_training() -> None:
    override = Model(training=TrainingOverride(epochs=7))
    assert params.effective_training(some_training(), override) == some_training(epochs=7)
    assert params.effective_training(some_training(), Model()) == some_training()


def test_measures_agree_with_keras(images: np.ndarray) -> None:
    from overfitting import measures

    labels = np.arange(40) % 10
    network = networks.build(MODELS["regularized"])
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(datasets.to_network_input(images), labels, verbose=0)
    probabilities = inference.predict(network, images)
    assert measures.accuracy(probabilities, labels) == pytest.approx(accuracy)
    assert measures.cross_entropy(probabilities, labels) == pytest.approx(loss, rel=1e-5)
