"""Formats numbers as text, for tables and figures."""

from collections.abc import Callable

import pandas as pd

from overfitting.analysis.statistics import Interval

MINUS = "\N{MINUS SIGN}"
ROUNDING_ERROR = 1e-9
"""A number below this is zero."""


def share(value: float | None) -> str:
    """Format a share (0 to 1) with three decimals, as the lesson does; – if it is unknown."""
    return number(value)


def number(value: float | None, digits: int = 3) -> str:
    """Format a number that is no difference; – if it is unknown."""
    return "–" if value is None or pd.isna(value) else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Format a difference with its sign, none if it rounds to zero; – if it is unknown."""
    if value is None or pd.isna(value):
        return "–"
    rounded = round(value, digits)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f}"


def points(value: float) -> str:
    """Format a difference of shares in percentage points, signed, with one decimal."""
    return signed(100 * value, 1)


def bounds(interval: Interval, formatted: Callable[[float], str] = points) -> str:
    """Format the bounds of an interval; – if they are unknown.

    The bounds of a difference keep their sign if they round to zero, as a verdict rests on it.
    """
    if pd.isna(interval.low):
        return "–"
    low, high = (_bound(value, formatted) for value in (interval.low, interval.high))
    return f"{low} to {high}"


def _bound(value: float, formatted: Callable[[float], str]) -> str:
    text = formatted(value)
    is_difference = formatted(1.0).startswith("+")
    if not is_difference or text != formatted(0.0) or abs(value) < ROUNDING_ERROR:
        return text
    return f"{'+' if value > 0 else MINUS}{text}"
