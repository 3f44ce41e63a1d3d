"""What each corruption does to an image, and what holds for all of them."""

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
    line,
    shifted,
)

ALL = range(1, SEVERITIES + 1)
SURE = {"gaussian_blur", "brightness", "contrast", "scale"}  # the kinds without chance


def pullovers(count: int) -> np.ndarray:
    """Lopsided grey shapes on black, each a little different."""
    images = np.zeros((count, 28, 28), np.uint8)
    for number, image in enumerate(images):
        image[4:24, 6:18] = np.linspace(60, 220, 12)
        image[7 : 12 + number % 5, 17:23] = 150
    return images


def grey(value: int) -> np.ndarray:
    """Many pixels of one value."""
    return np.full((50, 28, 28), value, np.uint8)


def point(row: int, column: int, size: int = 7, copies: int = 1) -> np.ndarray:
    """Black images with one white pixel, as floats."""
    images = np.zeros((copies, size, size))
    images[:, row, column] = 1
    return images


def damaged(name: str, images: np.ndarray, strength: float) -> np.ndarray:
    """The damage alone, of any strength, on floats."""
    return CORRUPTIONS[name].apply(images, strength, np.random.default_rng(0))


def white(image: np.ndarray) -> tuple[int, int]:
    """Where the one pixel is that is not black."""
    [place] = np.argwhere(np.abs(image) > 1e-9)
    assert image[tuple(place)] == pytest.approx(1)
    return tuple(place.tolist())


# All kinds


def test_the_kinds_are_those_that_were_announced() -> None:
    assert list(CORRUPTIONS) == [
        *("gaussian_noise", "shot_noise", "impulse_noise", "gaussian_blur", "motion_blur"),
        *("brightness", "contrast", "rotation", "shear", "scale"),
        *("translation", "horizontal_flip"),
    ]
    assert all(len(kind.strengths) == SEVERITIES for kind in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_grows_with_severity(name: str) -> None:
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
def test_what_exceeds_the_range_is_cut_off(name: str) -> None:
    """Converted to uint8 as it is, what is a little above white would become black."""
    assert corrupt(name, grey(255), 1).min() > 64
    assert corrupt(name, grey(0), 1).max() < 191


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_seed_decides(name: str) -> None:
    images = pullovers(20)
    first, again, other = (corrupt(name, images, 3, seed) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (name in SURE)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("count", [1, 10])
def test_images_that_follow_change_nothing(name: str, count: int) -> None:
    images = pullovers(101)
    for severity in ALL:
        among_others = corrupt(name, images, severity)[:count]
        assert np.array_equal(corrupt(name, images[:count], severity), among_others)


def test_kinds_do_not_share_their_draws() -> None:
    images = pullovers(200)
    mirrored = (corrupt("horizontal_flip", images, 3) != images).any(axis=(1, 2))
    other_way = corrupt("rotation", images, 3)[:, 2, :14].any(axis=1)
    assert 0.3 < np.mean(mirrored == other_way) < 0.7


@pytest.mark.parametrize("count", [0, 3])
def test_all_severities_are_stacked_by_kind(count: int) -> None:
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
def test_other_images_and_severities_are_refused(
    images: np.ndarray, severity: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        corrupt("scale", images, severity)


@pytest.mark.parametrize("severity", [0, 1])
def test_an_unknown_kind_is_refused(severity: int) -> None:
    with pytest.raises(KeyError, match="snow"):
        corrupt("snow", pullovers(1), severity)


# Noise


def test_gaussian_noise_has_its_deviation() -> None:
    noise = damaged("gaussian_noise", np.full((50, 28, 28), 0.5), 0.1) - 0.5
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.002)


@pytest.mark.parametrize(("level", "photons"), [(0.5, 60), (0.5, 20), (0.1, 60)])
def test_shot_noise_has_the_variance_of_light(level: float, photons: int) -> None:
    """Poisson: the variance of a count is its mean, here level · photons."""
    result = damaged("shot_noise", np.full((50, 28, 28), level), photons)
    assert result.var() == pytest.approx(level / photons, rel=0.03)
    assert result.mean() == pytest.approx(level, rel=0.01)
    assert np.allclose(result * photons, np.rint(result * photons))


def test_shot_noise_leaves_black_alone() -> None:
    assert not corrupt("shot_noise", grey(0), 5).any()


def test_impulse_noise_turns_its_share_black_or_white() -> None:
    result = corrupt("impulse_noise", grey(128), 3)  # severity 3: a tenth
    assert set(result.ravel()) == {0, 128, 255}
    assert np.mean(result == 0) == pytest.approx(0.05, abs=0.004)
    assert np.mean(result == 255) == pytest.approx(0.05, abs=0.004)


def test_more_impulse_noise_keeps_the_pixels_of_less() -> None:
    less, more = corrupt("impulse_noise", grey(128), 2), corrupt("impulse_noise", grey(128), 4)
    assert np.array_equal(more[less != 128], less[less != 128])


# Blur


@pytest.mark.parametrize("name", ["gaussian_blur", "motion_blur"])
@pytest.mark.parametrize("strength", [1, 2.5])
def test_blur_keeps_the_light(name: str, strength: float) -> None:
    images = point(12, 12, size=25, copies=10)
    assert damaged(name, images, strength).sum(axis=(1, 2)) == pytest.approx(1, rel=1e-3)
    assert np.allclose(damaged(name, np.full((10, 9, 9), 0.3), strength), 0.3)  # the edge too


def test_gaussian_blur_has_its_deviation_both_ways() -> None:
    [spread] = damaged("gaussian_blur", point(12, 12, size=25), 1.5)
    squares = (np.arange(25) - 12) ** 2
    for axis in (0, 1):
        assert spread.sum(axis=axis) @ squares == pytest.approx(1.5**2, rel=0.01)


def test_a_line_averages_along_itself() -> None:
    """Over the hat function of linear interpolation: of 2 pixels, half falls on the middle."""
    across = line(2, 0)
    assert across[4, 3:6] == pytest.approx([0.25, 0.5, 0.25])
    assert across[4].sum() == pytest.approx(1)
    assert across.sum() == pytest.approx(1)
    assert np.allclose(line(2, np.pi / 2), across.T)
    rising = line(7, np.pi / 4)
    assert np.allclose(rising, rising.T)
    assert np.allclose(rising, rising[::-1, ::-1])
    assert rising[np.abs(np.subtract.outer(range(9), range(9))) > 1].sum() < 1e-9


def test_motion_blur_spreads_a_point_along_one_line() -> None:
    """A line of length L has the variance L² / 12 along itself and, but for the pixels, 0 across.

    Linear interpolation adds at most 1/4, and 1/6 on average.
    """
    images = point(12, 12, size=25, copies=100)
    rows, columns = np.indices((25, 25)) - 12
    directions = set()
    for spread in damaged("motion_blur", images, 7):
        down, both, right = (
            (spread * product).sum() for product in (rows * rows, rows * columns, columns * columns)
        )
        across, along = np.linalg.eigvalsh([[down, both], [both, right]])
        assert across < 1 / 4
        assert along == pytest.approx(7**2 / 12 + 1 / 6, abs=0.3)
        assert np.allclose(spread, spread[::-1, ::-1])
        directions.add(round(np.degrees(np.arctan2(2 * both, right - down)) / 2 / 22.5) % 8)
    assert directions == set(range(8))


# Light


def test_brightness_adds() -> None:
    image = np.array([[[0, 100, 250]]], np.uint8)
    assert corrupt("brightness", image, 2).tolist() == [[[51, 151, 255]]]  # 0.2 · 255


def test_values_are_rounded() -> None:
    """A fifth of the contrast is left: 52 ± 52 / 5."""
    assert corrupt("contrast", np.array([[[0, 104]]], np.uint8), 5).tolist() == [[[42, 62]]]


def test_contrast_draws_each_image_to_its_own_mean() -> None:
    images = np.array([[[0.0, 1.0]], [[0.2, 0.4]]])
    assert np.allclose(damaged("contrast", images, 0.4), [[[0.2, 0.8]], [[0.24, 0.36]]])


# Shape


def test_rotation_turns_about_the_middle() -> None:
    """By a quarter turn, what was above the middle goes to its left or to its right."""
    above = damaged("rotation", point(1, 3, copies=20), 90)
    assert {white(image) for image in above} == {(3, 1), (3, 5)}
    assert np.allclose(damaged("rotation", point(3, 3, copies=20), 33)[:, 3, 3], 1)


def test_shear_pushes_rows_and_leaves_the_middle_one() -> None:
    """Half a column per row: two rows above the middle, one column; below, the other way."""
    above, below, middle = (
        [white(image) for image in damaged("shear", point(row, 3, copies=20), 0.5)]
        for row in (1, 5, 3)
    )
    assert set(zip(above, below, strict=True)) == {((1, 2), (5, 4)), ((1, 4), (5, 2))}
    assert set(middle) == {(3, 3)}


def test_scale_shrinks_towards_the_middle() -> None:
    """To half its size: two pixels from the middle become one, and outside it is black."""
    expected = {(3, 3): (3, 3), (1, 3): (2, 3), (3, 5): (3, 4), (5, 1): (4, 2)}
    for before, after in expected.items():
        assert white(damaged("scale", point(*before), 0.5)[0]) == after
    [shrunk] = damaged("scale", np.ones((1, 8, 8)), 0.5)
    assert np.allclose(shrunk[2:-2, 2:-2], 1)
    assert shrunk.sum() == pytest.approx(16)


@pytest.mark.parametrize("severity", ALL)
def test_translation_is_by_whole_pixels_in_eight_directions(severity: int) -> None:
    images = pullovers(80)
    steps = {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)} - {(0, 0)}
    found = set()
    for image, result in zip(images, corrupt("translation", images, severity), strict=True):
        [step] = [
            (y, x)
            for y, x in steps
            if np.array_equal(result, shifted(image, severity * y, severity * x))
        ]
        found.add(step)
    assert found == steps


def test_flip_mirrors_a_growing_share_and_at_last_all() -> None:
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


# Which models have met a corruption before


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
    """The settings of this project and 12 test images, without data or engines."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    datasets.save_examples(tmp_path / "test.npz", images=pullovers(12))
    return Project(tmp_path)


def run_stage(project: Project, size: int) -> str:
    project.edit(lambda content: content["robustness"].update(test_size=size))
    script = str(ROOT / "workflow" / "scripts" / "corruptions.py")
    return project.run("python", script, "test.npz", "out/corrupted.npz").stdout


@pytest.mark.parametrize("size", [0, 7])
def test_the_stage_writes_the_first_images_in_all_ways(project: Project, size: int) -> None:
    said = run_stage(project, size)
    written = datasets.load_examples(project.folder / "out" / "corrupted.npz", *CORRUPTIONS)
    for results, expected in zip(written, all_severities(pullovers(size)).values(), strict=True):
        assert np.array_equal(results, expected)
        assert results.shape == (5, size, 28, 28)
    assert "rotation, 8 of 12" in said
    assert said == (project.folder / "logs" / "corruptions.log").read_text()


def test_the_stage_takes_all_images_where_there_are_fewer(project: Project) -> None:
    said = run_stage(project, 13)
    [noisy] = datasets.load_examples(project.folder / "out" / "corrupted.npz", "gaussian_noise")
    assert noisy.shape == (5, 12, 28, 28)
    assert "the first 12 images" in said
