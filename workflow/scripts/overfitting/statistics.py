"""Means, spreads and intervals over seeds."""

import numpy as np
import scipy.stats


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Return Student's t-interval for the mean of independent values, one per seed.

    mean ± t(confidence, n - 1) · s / √n, with s the standard deviation for n - 1 degrees of
    freedom (Student, "The probable error of a mean", Biometrika 1908).

    Returns:
        The two bounds, in the units of `values`; NaN with fewer than two values, which say
        nothing about the spread.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    error = values.std(ddof=1) / np.sqrt(len(values))
    reach = float(scipy.stats.t.ppf((1 + confidence) / 2, len(values) - 1) * error)
    return float(values.mean() - reach), float(values.mean() + reach)
