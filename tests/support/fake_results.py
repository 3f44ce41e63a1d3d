"""Random results in the files and formats that the stages would have written."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import ruamel.yaml

from overfitting.common import datasets, params
from overfitting.common.files import write_record
from overfitting.evaluation import metrics, robustness
from overfitting.evaluation.corruptions import CORRUPTIONS, all_severities
from support.project import ROOT

TEST, TRAIN, VALIDATION, N_CORRUPTED = 60, 80, 20, 6
PARAMS = params.read(ROOT / "params.yaml")
MODELS = list(PARAMS.models)
CLASSES = PARAMS.data.classes
SETTINGS = {name: model.model_dump(exclude={"training"}) for name, model in PARAMS.models.items()}


def predictions(
    random: np.random.Generator,
    labels: np.ndarray,
    accuracy: float,
    images: int,
    n_corrupted: int,
) -> dict[str, np.ndarray]:
    """Return random predictions, the contents of predictions.npz.

    Args:
        random: the source of random numbers.
        labels: integers of shape (images,), 0 to 9.
        accuracy: the expected accuracy on the test images, 0 to 1.
        images: the number of test images.
        n_corrupted: the number of images that are shifted and corrupted.
    """
    right = random.random(images) < accuracy
    named = np.where(right, labels, (labels + random.integers(1, 10, images)) % 10)
    probabilities = random.dirichlet(np.full(10, 0.2), images)
    probabilities[np.arange(images), named] += 1.5
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return {
        "probabilities": probabilities.astype(np.float32),
        "labels": labels,
        "shifted": random.random((9, 9, n_corrupted)) < accuracy - 0.2,
        "corrupted": random.random((len(CORRUPTIONS), 5, n_corrupted)) < accuracy - 0.3,
        "validation": random.random(VALIDATION) < accuracy,
        "whole_test": np.append(
            probabilities.argmax(axis=1) == labels, random.random(images) < accuracy
        ),
    }


def write_run(
    folder: Path,
    model: str,
    seed: int,
    n_corrupted: int = N_CORRUPTED,
    declared: params.Params = PARAMS,
) -> None:
    """Write the results of the stages `train` and `evaluate` for one run to `folder`."""
    random = np.random.default_rng([list(declared.models).index(model), seed])
    settings = declared.models[model].model_dump(exclude={"training"})
    own_training = declared.models[model].training.model_dump(exclude_none=True)
    epochs = own_training.get("epochs", 3)
    stops_early = settings["early_stopping"] is not None
    run_epochs = int(random.integers(epochs // 2, epochs + 1)) if stops_early else epochs
    progress = 1 - 0.6 ** np.arange(1, run_epochs + 1)
    augments = any(settings["augmentation"].values())
    accuracy = 0.85 + 0.01 * random.standard_normal()
    predicted = predictions(random, np.arange(TEST) % 10, accuracy, TEST, n_corrupted)

    def part(images: int, accuracy: float) -> dict[str, Any]:
        return {
            "images": images,
            "accuracy": accuracy,
            "cross_entropy": 1 - accuracy,
            "per_class_accuracy": [accuracy] * 10,
        }

    evaluation = {
        "augmentation": settings["augmentation"],
        "train": part(TRAIN, 0.95 - 0.08 * augments + 0.01 * random.standard_normal()),
        "train_mode": {"accuracy": 0.94 - 0.12 * augments + 0.01 * random.standard_normal()},
        "validation": part(VALIDATION, predicted["validation"].mean()),
        "test": part(TEST, metrics.accuracy(predicted["probabilities"], predicted["labels"])),
        "whole_test": part(2 * TEST, predicted["whole_test"].mean()),
        "calibration": {
            "ece": metrics.expected_calibration_error(
                predicted["probabilities"], predicted["labels"]
            ),
            "brier": metrics.brier(predicted["probabilities"], predicted["labels"]),
        },
        "robustness": robustness.summary(predicted["corrupted"]),
    }
    training = {
        "model_settings": settings,
        "training": {
            "train_size": TRAIN + VALIDATION,
            "epochs": epochs,
            "batch_size": 64,
            "validation_split": 0.2,
            "learning_rate": 0.001,
        }
        | own_training,
        "versions": {"Python": "3.11", "TensorFlow": "2.21", "Keras": "3.15"},
        "weights_sha256": "0" * 64,
        "history": {
            "accuracy": ((0.9 - 0.1 * augments) * progress).tolist(),
            "loss": (1.3 - progress).tolist(),
            "val_accuracy": (accuracy * progress).tolist(),
            "val_loss": (1.4 - progress + 0.1 * random.random(run_epochs)).tolist(),
            "best_epoch": run_epochs,
        },
    }
    here = folder / model / str(seed)
    here.mkdir(parents=True)
    write_record(here / "training.json", training)
    write_record(here / "evaluation.json", evaluation)
    datasets.save_examples(here / "predictions.npz", **predicted)
    images = random.integers(0, 255, (2, 28, 28), dtype=np.uint8)
    datasets.save_examples(
        here / "augmented.npz", images=images, draws=np.stack([images] * 3, axis=1)
    )


def checkout(
    folder: Path,
    models: list[str],
    seeds: list[int],
    n_corrupted: int = N_CORRUPTED,
    params_file: Path = ROOT / "params.yaml",
) -> None:
    """Create in `folder` all that the report reads: results, data, templates and params."""
    declared = params.read(params_file)
    for model in models:
        for seed in seeds:
            write_run(folder / "results", model, seed, n_corrupted, declared)
    random = np.random.default_rng(0)
    subset = folder / "data" / "subset"
    subset.mkdir(parents=True)
    for part, count in (("train", 100), ("test", TEST)):
        images = random.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        datasets.save_examples(subset / f"{part}.npz", images=images, labels=labels)
    datasets.save_examples(
        folder / "data" / "corrupted.npz", **all_severities(images[:n_corrupted])
    )
    shutil.copy(ROOT / "data" / "SHA256SUMS", folder / "data")
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copytree(ROOT / "workflow" / "templates", folder / "workflow" / "templates")
    yaml = ruamel.yaml.YAML()
    edited = yaml.load(params_file)
    edited.update(compare=models, seeds=seeds)
    yaml.dump(edited, folder / "params.yaml")
