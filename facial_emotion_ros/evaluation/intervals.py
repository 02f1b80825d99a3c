"""Confidence intervals: Wilson's for a share, Student's t with a standard error, and the percentile bootstrap."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

#: Resamples of a bootstrap.
RESAMPLES = 1000

_NAN = float('nan')


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Compute the 95% interval of a share, which stays sensible for few cases and for shares of 0 and 1.

    :param hits: number of cases that count.
    :param count: number of cases.
    :returns: (low, high) in [0, 1]; NaN for no cases.

    Source: Wilson, JASA 1927, equation 6.
    """
    from scipy.stats import binomtest  # half a second to import

    if not count:
        return _NAN, _NAN
    interval = binomtest(int(hits), int(count)).proportion_ci(method='wilson')
    return float(interval.low), float(interval.high)


def t_interval(values: np.ndarray, squared_errors: np.ndarray, freedom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute 95% intervals by Student's t.

    :param values: (K,) estimates.
    :param squared_errors: (K,) squares of their standard errors.
    :param freedom: (K,) degrees of freedom.
    :returns: low and high, (K,) float64; NaN without a degree of freedom.

    Source: Student, Biometrika 1908.
    """
    from scipy.special import stdtrit  # half a second to import

    half = stdtrit(np.where(freedom > 0, freedom, np.nan), 0.975) * np.sqrt(squared_errors)
    return values - half, values + half


def bootstrap_interval(
    statistic: Callable[..., float], arrays: Sequence[np.ndarray], resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95% percentile interval of a statistic by resampling rows with replacement.

    :param statistic: function of the arrays' rows.
    :param arrays: (N, ...) arrays that are resampled together; differences of two measures of the same face give a
        paired interval.
    :param resamples: number of resamples.
    :param seed: of the resampling; the same seed gives the same interval.
    :returns: (low, high); NaN for N = 0.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    columns = [np.asarray(array) for array in arrays]
    return percentile_interval(
        [statistic(*(column[rows] for column in columns)) for rows in resample(len(columns[0]), resamples, seed)]
    )


def resample(count: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """Draw `count` of `count` rows with replacement, again and again.

    :returns: iterator of (count,) int64; nothing for count = 0.
    """
    generator = np.random.default_rng(seed)
    return (generator.integers(0, count, count) for _ in range(resamples if count else 0))


def percentile_interval(values: Sequence[float]) -> tuple[float, float]:
    """Compute the interval that holds the middle 95% of the finite values.

    :param values: of a statistic, one for each resample.
    :returns: (low, high); NaN where fewer than half of the values are finite.
    """
    finite = [value for value in values if np.isfinite(value)]
    if not finite or 2 * len(finite) < len(values):
        return _NAN, _NAN
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)
