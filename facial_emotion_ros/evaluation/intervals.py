"""Confidence intervals and tests: Wilson score, Student's t, permutation, percentile bootstrap."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

#: Default number of bootstrap resamples.
RESAMPLES = 1000

#: Minimum number of faces per class for an interval of a macro metric: fewer do not determine its variance.
LEAST_OF_CLASS = 5

_NAN = float('nan')

#: Rounding error relative to the scale of a metric: smaller standard errors and differences count as 0.
_ROUNDING = 1e-12


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Compute the 95% Wilson score interval of a proportion, which is valid for few cases and for 0 and 1.

    :param hits: number of successes.
    :param count: number of cases.
    :returns: (low, high) in [0, 1]; NaN without cases.

    Source: Wilson, JASA 1927, equation 6.
    """
    from scipy.stats import binomtest  # half a second to import

    if not count:
        return _NAN, _NAN
    interval = binomtest(int(hits), int(count)).proportion_ci(method='wilson')
    return float(interval.low), float(interval.high)


def t_interval(
    values: np.ndarray, squared_errors: np.ndarray, freedom: np.ndarray, scales: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Compute 95% intervals by Student's t.

    :param values: (K,) estimates.
    :param squared_errors: (K,) squares of their standard errors.
    :param freedom: (K,) degrees of freedom.
    :param scales: (K,) magnitude of the values, for the test whether an error is 0 but for rounding.
    :returns: low and high, (K,) float64; NaN without degrees of freedom, and for an error of 0: identical cases do not
        show how much others vary.

    Source: Student, Biometrika 1908.
    """
    from scipy.special import stdtrit  # half a second to import

    errors = np.sqrt(squared_errors)
    half = stdtrit(np.where((freedom > 0) & (errors > _ROUNDING * scales), freedom, np.nan), 0.975) * errors
    return values - half, values + half


def t_quantile(freedom: float) -> float:
    """Compute the 97.5% quantile of Student's t to four digits, without scipy, which `adapt` does not need.

    :param freedom: degrees of freedom, above 0; at most 10,000 are used.
    """
    freedom = min(freedom, 1e4)
    # t = sqrt(freedom) tan(angle), whose density is cos(angle) ** (freedom - 1).
    angles = np.linspace(0, np.pi / 2, 10001)[:-1] + np.pi / 40000
    below = np.cumsum(np.cos(angles) ** (freedom - 1))
    angle = np.interp(0.95 * below[-1], below, angles + np.pi / 40000)
    return float(np.sqrt(freedom) * np.tan(angle))


def t_test(
    values: np.ndarray,
    squared_errors: np.ndarray,
    freedom: np.ndarray,
    least: Sequence[float] | float,
    scales: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Compute two-sided p-values of estimates against 0 by Student's t: below 0.05 if :func:`t_interval` excludes 0.

    :param values, squared_errors, freedom, scales: see :func:`t_interval`.
    :param least: (K,) p-values for an error of 0, from :func:`least_p`.
    :returns: (K,) float64; for an error of 0, `least`, or 1 if the value is 0 too; NaN if the error is NaN.

    Source: Student, Biometrika 1908.
    """
    from scipy.special import stdtr  # half a second to import

    sizes, errors = np.abs(values), np.sqrt(squared_errors)
    is_exact = errors <= _ROUNDING * scales
    exact = np.where(sizes <= _ROUNDING * scales, 1.0, least)
    return np.where(is_exact, exact, 2 * stdtr(freedom, -sizes / np.where(is_exact, 1.0, errors)))


def welch_freedom(squared_errors: np.ndarray, freedoms: np.ndarray) -> np.ndarray:
    """Compute the degrees of freedom of the difference of two estimates; 1 if both errors are 0.

    :param squared_errors: (2, K) squared standard errors.
    :param freedoms: (2, K) or (2, 1) degrees of freedom.

    Source: Satterthwaite, Biometrics Bulletin 1946; Welch, Biometrika 1947.
    """
    spread = (squared_errors**2 / freedoms).sum(0)
    return np.divide(squared_errors.sum(0) ** 2, spread, out=np.ones(len(spread)), where=spread > 0)


def least_p(count: int, other_count: int | None = None) -> float:
    """Compute the smallest possible p-value of the exact two-sided permutation test.

    :param count: number of pairs (sign-flip test), or of cases in one of two groups.
    :param other_count: number of cases in the other group; None for pairs.

    Source: Fisher, The Design of Experiments, 1935, chapter 3; Pitman, Supplement to JRSS 1937.
    """
    ways = 2**count if other_count is None else math.comb(count + other_count, count)
    return min(2 / ways, 1.0)


def bootstrap_interval(values: np.ndarray, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Compute the 95% percentile interval of a mean by resampling with replacement.

    :param values: (N,) float or bool; for a paired interval, the differences of two measures of the same face.
    :param resamples: number of resamples.
    :returns: (low, high), with a fixed seed; NaN for N = 0.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    return percentile_interval([values[rows].mean() for rows in resample(len(values), resamples)])


def resample(count: int, resamples: int = RESAMPLES) -> Iterator[np.ndarray]:
    """Draw bootstrap samples: `count` of `count` rows with replacement.

    :returns: iterator of (count,) int64, with a fixed seed; empty for count = 0.
    """
    generator = np.random.default_rng(0)
    return (generator.integers(0, count, count) for _ in range(resamples if count else 0))


def resample_confusion(matrix: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Resample a confusion matrix within each class, so that macro metrics keep the same classes.

    Of a class with n faces, n - 1 are drawn and weighted by n / (n - 1), else the variance would be too small. They are
    drawn from its faces and a pseudo-face with the overall accuracy: five correct predictions of five do not mean that
    the sixth cannot be wrong.

    :param matrix: (K, K) counts, labels in rows; each row has none or at least two.
    :returns: (resamples, K, K) float64.

    Source: McCarthy and Snowden, The Bootstrap and Finite Population Sampling, Vital and Health Statistics 2-95, 1985,
    for n - 1; coverage: docs/evaluation.md.
    """
    generator = np.random.default_rng(seed)
    counts, accuracy = matrix.sum(1), np.trace(matrix) / max(matrix.sum(), 1)
    draws = np.zeros((resamples, *matrix.shape))
    for row in np.flatnonzero(counts):
        typical = matrix.sum(0).astype(np.float64)
        typical[row] = 0
        typical *= (1 - accuracy) / max(typical.sum(), 1)
        typical[row] = 1 - typical.sum()
        shares = (matrix[row] + typical) / (counts[row] + 1)
        draws[:, row] = generator.multinomial(counts[row] - 1, shares, resamples) * counts[row] / (counts[row] - 1)
    return draws


def percentile_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Compute the 2.5% and 97.5% quantiles of the finite values.

    :param values: values of a statistic, one per resample.
    :returns: (low, high); NaN if fewer than half of the values are finite.
    """
    finite = np.asarray(values)[np.isfinite(values)]
    if not len(finite) or 2 * len(finite) < len(values):
        return _NAN, _NAN
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)
