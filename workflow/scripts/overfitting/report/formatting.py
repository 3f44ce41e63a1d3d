"""Formats numbers as text, for tables and figures."""

from collections.abc import Callable

import pandas as pd

from overfitting.analysis.statistics import Interval


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
    sign = "+" if rounded > 0 else "\N{MINUS SIGN}" if rounded < 0 else ""
    return f"{sign}{abs(rounded):.{digits}f}"


def points(value: float) -> str:
    """Format a difference of shares in percentage points, signed, with one decimal."""
    return signed(100 * value, 1)


def bounds(interval: Interval, formatted: Callable[[float], str] = points) -> str:
    """Format the bounds of an interval; – if they are unknown."""
    known = not pd.isna(interval.low)
    return f"{formatted(interval.low)} to {formatted(interval.high)}" if known else "–"
