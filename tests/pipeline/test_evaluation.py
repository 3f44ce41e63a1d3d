"""The outputs of the stages `train` and `evaluate` in a real run on small data."""

import json
from typing import Any

import numpy as np
import pytest
from support.project import Project

from overfitting.analysis.predictions import ARRAYS
from overfitting.common import datasets
from overfitting.evaluation import metrics, robustness
from overfitting.evaluation.corruptions import CORRUPTIONS, all_severities

NO_SHIFT = list(robustness.SHIFTS).index(0)


@pytest.fixture
def evaluation(finished_project: Project) -> dict[str, Any]:
    path = finished_project.folder / "results" / "regularized" / "0" / "evaluation.json"
    return json.loads(path.read_text())


@pytest.fixture
def predictions(finished_project: Project) -> dict[str, np.ndarray]:
    path = finished_project.folder / "results" / "regularized" / "0" / "predictions.npz"
    return dict(zip(ARRAYS, datasets.load_examples(path, *ARRAYS), strict=True))


def test_each_part_of_the_data_is_evaluated(
    finished_project: Project, evaluation: dict[str, Any]
) -> None:
    sizes = {part: evaluation[part]["images"] for part in ("train", "validation", "test")}
    assert sizes == {"train": 120, "validation": 30, "test": 50}
    assert evaluation["whole_test"]["images"] == 60
    for part in ("train", "validation", "test", "whole_test"):
        accuracies = evaluation[part]["per_class_accuracy"]
        assert len(accuracies) == 10
        if part in ("test", "whole_test"):  # these have equally many images of each class
            assert np.mean(accuracies) == pytest.approx(evaluation[part]["accuracy"])


def test_metrics_match_the_saved_predictions(
    evaluation: dict[str, Any], predictions: dict[str, np.ndarray]
) -> None:
    probabilities, labels = predictions["probabilities"], predictions["labels"]
    assert probabilities.shape == (50, 10)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert evaluation["test"]["accuracy"] == metrics.accuracy(probabilities, labels)
    assert evaluation["test"]["cross_entropy"] == metrics.cross_entropy(probabilities, labels)
    assert evaluation["calibration"] == {
        "ece": metrics.expected_calibration_error(probabilities, labels),
        "brier": metrics.brier(probabilities, labels),
    }


def test_single_images_add_up_to_the_accuracies(
    evaluation: dict[str, Any], predictions: dict[str, np.ndarray]
) -> None:
    assert predictions["validation"].shape == (30,)
    assert predictions["whole_test"].shape == (60,)
    for part in ("validation", "whole_test"):
        assert predictions[part].mean() == pytest.approx(evaluation[part]["accuracy"])
    correct = predictions["probabilities"].argmax(axis=1) == predictions["labels"]
    assert np.array_equal(predictions["whole_test"][:50], correct)


def test_train_mode_changes_the_accuracy_of_regularized_models_only(
    finished_project: Project, evaluation: dict[str, Any]
) -> None:
    assert 0 <= evaluation["train_mode"]["accuracy"] <= 1
    path = finished_project.folder / "results" / "baseline" / "0" / "evaluation.json"
    baseline = json.loads(path.read_text())
    assert baseline["train_mode"]["accuracy"] == baseline["train"]["accuracy"]


def test_shifted_and_corrupted_images_come_from_the_test_set(
    finished_project: Project, evaluation: dict[str, Any], predictions: dict[str, np.ndarray]
) -> None:
    assert predictions["shifted"].shape == (9, 9, 10)
    assert predictions["corrupted"].shape == (len(CORRUPTIONS), 5, 10)
    correct = predictions["probabilities"].argmax(axis=1) == predictions["labels"]
    assert np.array_equal(predictions["shifted"][NO_SHIFT, NO_SHIFT], correct[:10])
    assert evaluation["robustness"] == robustness.summary(predictions["corrupted"])
    data = finished_project.folder / "data"
    [images] = datasets.load_examples(data / "subset" / "test.npz", "images")
    expected = all_severities(images[:10])
    for name, saved in zip(
        CORRUPTIONS, datasets.load_examples(data / "corrupted.npz", *CORRUPTIONS), strict=True
    ):
        assert np.array_equal(saved, expected[name]), name


def test_the_training_records_its_settings(finished_project: Project) -> None:
    path = finished_project.folder / "results" / "regularized" / "0" / "training.json"
    record = json.loads(path.read_text())
    assert record["training"]["epochs"] == 2
    assert record["model_settings"]["dropout"] == {"conv": 0.25, "dense": 0.5}
    assert set(record["versions"]) == {"Python", "TensorFlow", "Keras"}
