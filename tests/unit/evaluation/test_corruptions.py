"""Tests of each corruption, and of the properties that all of them share."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.project import ROOT, Project

from overfitting.common import datasets
from overfitting.evaluation.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    all_severities,
    corrupt,
    is_matched,
    motion_blur_kernel,
    shifted,
)

ALL = range(1, SEVERITIES + 1)
DETERMINISTIC = {"gaussian_blur", "brightness", "contrast", "scale"}


def pullovers(count: int) -> np.ndarray:
    """Asymmetric grey shapes on black, each slightly different."""
    images = np.zeros((count, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[4:24, 6:18] = np.linspace(60, 220, 12)
        image[7 : 12 + number % 5, 17:23] = 150
    return images


def grey(value: int) -> np.ndarray:
    """Images whose pixels all have one value."""
    return np.full((50, 28, 28), value, np.uint8)


def point(row: int, column: int, size: int = 7, copies: int = 1) -> np.ndarray:
    """Black images with one white pixel, as floats."""
    images = np.zeros((copies, size, size))
    images[:, row, column] = 1
    return images


def corrupt_floats(name: str, images: np.ndarray, strength: float) -> np.ndarray:
    """The corruption without rounding and clipping, on floats and with any strength."""
    return CORRUPTIONS[name].apply(images, strength, np.random.default_rng(0))


def white_pixel(image: np.ndarray) -> tuple[int, int]:
    """The row and column of the only pixel that is not black."""
    [position] = np.argwhere(np.abs(image) > 1e-9)
    assert image[tuple(position)] == pytest.approx(1)
    return tuple(position.tolist())


# All corruptions


def test_the_corruptions_and_their_order() -> None:
    assert list(CORRUPTIONS) == [
        *("gaussian_noise", "shot_noise", "impulse_noise", "gaussian_blur", "motion_blur"),
        *("brightness", "contrast", "rotation", "shear", "scale"),
        *("translation", "horizontal_flip"),
    ]
    assert all(len(corruption.strengths) == SEVERITIES for corruption in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_differences_grow_with_severity(name: str) -> None:
    images = pullovers(60)
    differences = [0.0]
    for severity in ALL:
        result = corrupt(name, images, severity)
        assert (result.dtype, result.shape) == (np.uint8, images.shape)
        differences.append(np.abs(result.astype(float) - images).mean())
    assert np.all(np.diff(differences) > 0)
    assert np.array_equal(images, pullovers(60))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_0_is_a_copy(name: str) -> None:
    images = pullovers(2)
    result = corrupt(name, images, 0)
    assert np.array_equal(result, images)
    assert not np.shares_memory(result, images)


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "brightness"])
def test_values_out_of_range_are_clipped(name: str) -> None:
    """Without clipping, a value slightly above white would wrap around to black in uint8."""
    assert corrupt(name, grey(255), 1).min() > 64
    assert corrupt(name, grey(0), 1).max() < 191


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_result_depends_only_on_the_seed(name: str) -> None:
    images = pullovers(20)
    first, again, other = (corrupt(name, images, 3, seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (name in DETERMINISTIC)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("count", [1, 10])
def test_following_images_do_not_affect_the_result(name: str, count: int) -> None:
    images = pullovers(101)
    for severity in ALL:
        with_others = corrupt(name, images, severity)[:count]
        assert np.array_equal(corrupt(name, images[:count], severity), with_others)


def test_corruptions_draw_independently() -> None:
    images = pullovers(200)
    mirrored = (corrupt("horizontal_flip", images, 3) != images).any(axis=(1, 2))
    rotated_clockwise = corrupt("rotation", images, 3)[:, 2, :14].any(axis=1)
    assert 0.3 < np.mean(mirrored == rotated_clockwise) < 0.7


@pytest.mark.parametrize("count", [0, 3])
def test_all_severities_are_stacked_by_corruption(count: int) -> None:
    images = pullovers(3)[:count]
    stacked = all_severities(images, seed=2)
    assert list(stacked) == list(CORRUPTIONS)
    for name, results in stacked.items():
        assert (results.dtype, results.shape) == (np.uint8, (5, count, 28, 28))
        for severity in ALL:
            assert np.array_equal(results[severity - 1], corrupt(name, images, severity, seed=2))


@pytest.mark.parametrize(
    ("images", "severity", "reason"),
    [
        (pullovers(1) / 255, 1, r"expected uint8 images, N×28×28; got float64 \(1, 28, 28\)"),
        (pullovers(1)[0], 1, r"got uint8 \(28, 28\)"),
        (pullovers(1)[..., None], 1, r"got uint8 \(1, 28, 28, 1\)"),
        (pullovers(1), -1, "severity -1: expected 0 to 5"),
        (pullovers(1), 6, "severity 6: expected 0 to 5"),
    ],
)
def test_invalid_images_and_severities_are_rejected(
    images: np.ndarray, severity: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        corrupt("scale", images, severity)


@pytest.mark.parametrize("severity", [0, 1])
def test_an_unknown_corruption_is_rejected(severity: int) -> None:
    with pytest.raises(KeyError, match="snow"):
        corrupt("snow", pullovers(1), severity)


# Noise


def test_gaussian_noise_has_the_given_deviation() -> None:
    noise = corrupt_floats("gaussian_noise", np.full((50, 28, 28), 0.5), 0.1) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize(("level", "photons"), [(0.5, 60), (0.5, 20), (0.1, 60)])
def test_shot_noise_has_the_variance_of_a_poisson_distribution(level: float, photons: int) -> None:
    """The variance of a Poisson-distributed count is its mean, here level · photons."""
    result = corrupt_floats("shot_noise", np.full((50, 28, 28), level), photons)
    assert result.var() == pytest.approx(level / photons, rel=0.03)
    assert result.mean() == pytest.approx(level, rel=0.01)
    assert np.allclose(result * photons, np.rint(result * photons))


def test_shot_noise_does_not_change_black() -> None:
    assert not corrupt("shot_noise", grey(0), 5).any()


def test_impulse_noise_makes_a_share_of_the_pixels_black_or_white() -> None:
    result = corrupt("impulse_noise", grey(128), 3)  # severity 3: a share of 0.1
    assert set(result.ravel()) == {0, 128, 255}
    assert np.mean(result == 0) == pytest.approx(0.05, abs=0.004)
    assert np.mean(result == 255) == pytest.approx(0.05, abs=0.004)


def test_stronger_impulse_noise_includes_the_weaker_noise() -> None:
    weak, strong = corrupt("impulse_noise", grey(128), 2), corrupt("impulse_noise", grey(128), 4)
    assert np.array_equal(strong[weak != 128], weak[weak != 128])


# Blur


@pytest.mark.parametrize("name", ["gaussian_blur", "motion_blur"])
@pytest.mark.parametrize("strength", [1, 2.5])
def test_blur_preserves_the_total_brightness(name: str, strength: float) -> None:
    images = point(12, 12, size=25, copies=10)
    assert corrupt_floats(name, images, strength).sum(axis=(1, 2)) == pytest.approx(1, rel=1e-3)
    uniform = np.full((10, 9, 9), 0.3)
    assert np.allclose(corrupt_floats(name, uniform, strength), 0.3)  # at the edge too


def test_gaussian_blur_has_the_given_deviation_along_both_axes() -> None:
    [blurred] = corrupt_floats("gaussian_blur", point(12, 12, size=25), 1.5)
    squares = (np.arange(25) - 12) ** 2
    for axis in (0, 1):
        assert blurred.sum(axis=axis) @ squares == pytest.approx(1.5**2, rel=0.01)


def test_a_motion_blur_kernel_averages_along_a_line() -> None:
    """With linear interpolation, half the weight of a line of 2 pixels is in the centre."""
    horizontal = motion_blur_kernel(2, 0)
    assert horizontal[4, 3:6] == pytest.approx([0.25, 0.5, 0.25])
    assert horizontal[4].sum() == pytest.approx(1)
    assert horizontal.sum() == pytest.approx(1)
    assert np.allclose(motion_blur_kernel(2, np.pi / 2), horizontal.T)
    diagonal = motion_blur_kernel(7, np.pi / 4)
    assert np.allclose(diagonal, diagonal.T)
    assert np.allclose(diagonal, diagonal[::-1, ::-1])
    assert diagonal[np.abs(np.subtract.outer(range(9), range(9))) > 1].sum() < 1e-9


def test_motion_blur_spreads_a_point_along_one_line() -> None:
    """A line of length L has the variance L² / 12 along its direction and 0 across it.

    Linear interpolation between pixels adds at most 1/4, and 1/6 on average.
    """
    images = point(12, 12, size=25, copies=100)
    rows, columns = np.indices((25, 25)) - 12
    directions = set()
    for blurred in corrupt_floats("motion_blur", images, 7):
        rr, rc, cc = (  # the second moments: of the rows, mixed, of the columns
            (blurred * product).sum()
            for product in (rows * rows, rows * columns, columns * columns)
        )
        across, along = np.linalg.eigvalsh([[rr, rc], [rc, cc]])
        assert across < 1 / 4
        assert along == pytest.approx(7**2 / 12 + 1 / 6, abs=0.3)
        assert np.allclose(blurred, blurred[::-1, ::-1])
        directions.add(round(np.degrees(np.arctan2(2 * rc, cc - rr)) / 2 / 22.5) % 8)
    assert directions == set(range(8))


# Brightness and contrast


def test_brightness_adds_a_constant() -> None:
    image = np.array([[[0, 100, 250]]], np.uint8)
    assert corrupt("brightness", image, 2).tolist() == [[[51, 151, 255]]]  # 0.2 · 255


def test_values_are_rounded() -> None:
    """A fifth of the contrast is left: 52 ± 52 / 5."""
    assert corrupt("contrast", np.array([[[0, 104]]], np.uint8), 5).tolist() == [[[42, 62]]]


def test_contrast_is_reduced_towards_the_mean_of_each_image() -> None:
    images = np.array([[[0.0, 1.0]], [[0.2, 0.4]]])
    assert np.allclose(corrupt_floats("contrast", images, 0.4), [[[0.2, 0.8]], [[0.24, 0.36]]])


# Geometry


def test_rotation_is_about_the_centre_in_both_directions() -> None:
    """Rotated by 90 degrees, a point above the centre ends up to its left or to its right."""
    above = corrupt_floats("rotation", point(1, 3, copies=20), 90)
    assert {white_pixel(image) for image in above} == {(3, 1), (3, 5)}
    assert np.allclose(corrupt_floats("rotation", point(3, 3, copies=20), 33)[:, 3, 3], 1)


def test_shear_shifts_rows_and_keeps_the_middle_one() -> None:
    """Half a column per row: one column two rows above the middle, the opposite below it."""
    above, below, middle = (
        [white_pixel(image) for image in corrupt_floats("shear", point(row, 3, copies=20), 0.5)]
        for row in (1, 5, 3)
    )
    assert set(zip(above, below, strict=True)) == {((1, 2), (5, 4)), ((1, 4), (5, 2))}
    assert set(middle) == {(3, 3)}


def test_scale_shrinks_towards_the_centre() -> None:
    """At half the size, a distance of two pixels from the centre becomes one; outside is black."""
    expected = {(3, 3): (3, 3), (1, 3): (2, 3), (3, 5): (3, 4), (5, 1): (4, 2)}
    for before, after in expected.items():
        assert white_pixel(corrupt_floats("scale", point(*before), 0.5)[0]) == after
    [shrunk] = corrupt_floats("scale", np.ones((1, 8, 8)), 0.5)
    assert np.allclose(shrunk[2:-2, 2:-2], 1)
    assert shrunk.sum() == pytest.approx(16)


@pytest.mark.parametrize("severity", ALL)
def test_translation_is_by_whole_pixels_in_eight_directions(severity: int) -> None:
    images = pullovers(80)
    steps = {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)} - {(0, 0)}
    used = set()
    for image, result in zip(images, corrupt("translation", images, severity), strict=True):
        [step] = [
            (y, x)
            for y, x in steps
            if np.array_equal(result, shifted(image, severity * y, severity * x))
        ]
        used.add(step)
    assert used == steps


def test_flip_mirrors_a_growing_share_and_finally_all_images() -> None:
    images = pullovers(400)
    for severity in ALL:
        results = corrupt("horizontal_flip", images, severity)
        mirrored = (results == images[:, :, ::-1]).all(axis=(1, 2))
        assert np.array_equal(results[~mirrored], images[~mirrored])
        assert np.mean(mirrored) == pytest.approx(severity / 5, abs=0.06)
    assert mirrored.all()


@pytest.mark.parametrize(
    ("down", "right", "expected"),
    [
        (0, 0, [[1, 2, 3], [4, 5, 6]]),
        (1, 0, [[0, 0, 0], [1, 2, 3]]),
        (-1, 0, [[4, 5, 6], [0, 0, 0]]),
        (0, 1, [[0, 1, 2], [0, 4, 5]]),
        (0, -2, [[3, 0, 0], [6, 0, 0]]),
        (1, -1, [[0, 0, 0], [2, 3, 0]]),
        (2, 0, [[0, 0, 0], [0, 0, 0]]),
        (0, 9, [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_shifted(down: int, right: int, expected: list[list[int]]) -> None:
    image = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert shifted(image, down, right).tolist() == expected
    assert shifted(np.stack([image, image]), down, right).tolist() == [expected] * 2
    assert shifted(image, down, right).dtype == np.uint8


# Corruptions that a model's augmentation contains


@pytest.mark.parametrize(
    ("augmentation", "matched"),
    [
        ({"flip": None, "translation": 0.0}, set()),
        ({}, set()),
        ({"flip": "horizontal", "translation": 0.0}, {"horizontal_flip"}),
        ({"flip": "vertical", "translation": 0.0}, set()),
        ({"flip": "horizontal_and_vertical", "translation": 0.0}, {"horizontal_flip"}),
        ({"flip": None, "translation": 0.1}, {"translation"}),
        ({"flip": "horizontal", "translation": 0.1}, {"translation", "horizontal_flip"}),
    ],
)
def test_a_models_own_augmentations_are_matched(augmentation: dict, matched: set[str]) -> None:
    assert {name for name in CORRUPTIONS if is_matched(name, augmentation)} == matched


# The stage


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A folder with the settings of this project and 12 test images."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    datasets.save_examples(tmp_path / "test.npz", images=pullovers(12))
    return Project(tmp_path)


def run_stage(project: Project, size: int) -> str:
    project.edit(lambda content: content["robustness"].update(test_size=size))
    script = str(ROOT / "workflow" / "scripts" / "corruptions.py")
    return project.run("python", script, "test.npz", "out/corrupted.npz").stdout


@pytest.mark.parametrize("size", [0, 7])
def test_the_stage_corrupts_the_first_images_in_all_ways(project: Project, size: int) -> None:
    output = run_stage(project, size)
    written = datasets.load_examples(project.folder / "out" / "corrupted.npz", *CORRUPTIONS)
    for results, expected in zip(written, all_severities(pullovers(size)).values(), strict=True):
        assert np.array_equal(results, expected)
        assert results.shape == (5, size, 28, 28)
    assert "rotation, 8 of 12" in output
    assert output == (project.folder / "logs" / "corruptions.log").read_text()


def test_the_stage_uses_all_images_if_there_are_too_few(project: Project) -> None:
    output = run_stage(project, 13)
    [noisy] = datasets.load_examples(project.folder / "out" / "corrupted.npz", "gaussian_noise")
    assert noisy.shape == (5, 12, 28, 28)
    assert "the first 12 images" in output
