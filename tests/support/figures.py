"""A check that every figure must pass."""

from typing import Any
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text


def assert_readable(figure: Figure, name: str) -> None:
    """Fail if texts in a figure overlap, or are too small on a phone."""
    drawn: list[tuple[Text, tuple[float, ...]]] = []

    def draw(text: Text, renderer: Any) -> None:
        if text.get_visible() and text.get_text():
            drawn.append((text, text.get_window_extent(renderer).extents))

    with mock.patch.object(Text, "draw", draw):
        figure.draw_without_rendering()
    left, bottom, right, top = np.array([box for _, box in drawn]).T
    # The page shows a figure with at least one pixel per point.
    assert min(float(text.get_fontsize()) for text, _ in drawn) >= 9, name
    wide = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    high = np.minimum.outer(top, top) - np.maximum.outer(bottom, bottom)
    pairs = np.argwhere(np.triu((wide > 1) & (high > 1), k=1))
    overlapping = [tuple(drawn[i][0].get_text() for i in pair) for pair in pairs]
    assert not overlapping, name
