"""VAR and STDDEV over independent clusters of outcomes, an outcome standing for several tuples at once.

Outcome i has n_i tuples of values with sum s_i and sum of squares q_i. With N, S and Q the sums over what happens,
VAR_SAMP = (N·Q − S²) / (N·(N − 1)) and VAR_POP = (N·Q − S²) / N².

In places of few clusters its expectation, given that it is not NULL, is exact: 1/(N(N − 1)) = ∫₀¹ (1 − x)·x^(N−2) dx
and 1/N² = ∫₀¹ −ln x · x^(N−1) dx turn it into an integral of expectations that factorise over the clusters,
E[(N·Q − S²)·x^N] = Π φ · ((Σ a)(Σ b) − Σ a·b + Σ c − (Σ d)² + Σ d² − Σ e), where φ = E[x^n] of a cluster, and a, b, c,
d, e are E[n·x^n], E[q·x^n], E[n·q·x^n], E[s·x^n], E[s²·x^n], divided by φ. Gauss–Legendre quadrature does the rest.

In larger places it is the second-order expansion f(μ) + ½ Σ f_ab(μ)·Cov_ab of f(N, S, Q) around the expectations,
unless few of many tuples are expected: then it is the quadrature, not exact but nearly so.
STDDEV is the root of VAR's expectation: a scalar function, by value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rain_debug.relax.arrays import VJP, Array, Forward, rest, where
from rain_debug.relax.scans import Remembered

KINDS = ("var_samp", "var_pop", "stddev_samp", "stddev_pop")
FEW_CLUSTERS = 1000
FEW_TUPLES = 1000
MANY_CLUSTERS = 20_000
STEP = 1e-30
LEAST = 1e-280
ROUNDING = 1e-15


@dataclass(frozen=True, eq=False)
class Sample:
    """The constants of some places' outcomes: which they are, clusters numbered anew, values from the place's mean.

    `here` (n_places,) says which places these are, `tall` how many tuples one of them can have, and `alone`
    (n_places,) where that is one at most, whose VAR_POP is 0.
    """

    outcomes: Array
    cluster: Array
    cluster_place: Array
    n_places: int
    place: Array
    n: Array
    s: Array
    q: Array
    here: Array
    alone: Array
    tall: float


@Remembered
def _samples(cluster: Array, cluster_place: Array, n_places: int, n: Array, s: Array, q: Array) -> tuple[Sample, ...]:
    """The small places, the medium, and the large."""
    place = cluster_place[cluster]
    count = np.bincount(place, weights=n, minlength=n_places)
    middle = (np.bincount(place, weights=s, minlength=n_places) / np.maximum(count, 1))[place]
    away, size = s - n * middle, n * np.abs(middle)
    from_middle = np.maximum(q - 2 * middle * s + n * middle**2, 0.0)
    # What rounding leaves of equal values would have a root that is much more.
    away = where(np.abs(away) <= ROUNDING * size, 0.0, away)
    from_middle = where(from_middle <= ROUNDING * size * np.abs(middle), 0.0, from_middle)
    most = np.zeros(len(cluster_place))
    np.maximum.at(most, cluster, n)
    tall = np.bincount(cluster_place, weights=most, minlength=n_places)
    clusters = np.bincount(cluster_place, minlength=n_places)
    small = variance_rule(cluster, cluster_place, n_places, n)
    medium = ~small & (clusters <= MANY_CLUSTERS)

    def only(here: Array) -> Sample:
        chosen = np.flatnonzero(here[place])
        mine, number = np.unique(cluster[chosen], return_inverse=True)
        return Sample(
            chosen,
            number.ravel(),
            cluster_place[mine],
            n_places,
            place[chosen],
            n[chosen],
            away[chosen],
            from_middle[chosen],
            here,
            tall <= 1,
            float(min(tall[here].max(initial=1), FEW_TUPLES)),
        )

    return only(small), only(medium), only(~small & ~medium)


def _nodes(sample: Sample, kind: str) -> list[tuple[float, float, float]]:
    """Points x with the weights of (N·Q − S²)·x^N and of what its integral is divided by (right to 1e-9)."""
    root = np.sqrt(sample.tall)
    if kind.endswith("samp"):
        x, weight = np.polynomial.legendre.leggauss(int(min(np.ceil(sample.tall / 2) + 1, np.ceil(3 * root) + 20)))
        x, weight = (x + 1) / 2, weight / 2
        upper = weight * (1 - x) / x**2
        return list(zip(x, upper, upper, strict=True))
    y, weight = np.polynomial.legendre.leggauss(int(np.ceil(6 * root) + 20))
    y, weight = (y + 1) / 2, weight / 2
    x = y**4  # smooths the logarithm
    slope = 4 * weight * y**3
    return list(zip(x, slope * -np.log(x) / x, slope / x, strict=True))


def _powers(sample: Sample, x: float) -> tuple[Array, ...]:
    """x^n, and n, q, n·q, s, s², n² times x^n, of each outcome."""
    n, s, q = sample.n, sample.s, sample.q
    p = x**n
    return p, n * p, q * p, n * q * p, s * p, s * s * p, n * n * p


@dataclass(frozen=True, eq=False)
class AtPoint:
    """E[x^n] (`phi`) and the six ratios of each cluster; of each place Π φ, three sums, E[(N·Q − S²)·x^N] / Π φ (`top`)
    and E[N·(N − 1)·x^N] / Π φ, or E[N·x^N] / Π φ (`low`)."""

    tables: tuple[Array, ...]
    phi: Array
    parts: tuple[Array, ...]
    product: Array
    sums: tuple[Array, ...]
    top: Array
    low: Array


def _at(x: float, w: Array, idle: Array, sample: Sample, pairs: bool) -> AtPoint:
    tables = _powers(sample, x)

    def total(each: Array) -> Array:
        return np.bincount(sample.cluster_place, weights=each, minlength=sample.n_places)

    means = [np.bincount(sample.cluster, weights=w * t) for t in tables]
    phi = np.maximum(idle + means[0], LEAST)  # of a cluster sure to have many tuples, x^n is lost in small numbers
    a, b, c, d, e, nn = parts = tuple(mean / phi for mean in means[1:])
    sums = (total(a), total(b), total(d))
    top = sums[0] * sums[1] + total(c - a * b + d * d - e) - sums[2] ** 2
    low = sums[0] ** 2 + total(nn - a * a - a) if pairs else sums[0]
    return AtPoint(tables, phi, parts, np.exp(total(np.log(phi))), sums, top, low)


def _small(w: Array, sample: Sample, kind: str, g: Array | None) -> tuple[Array, Array]:
    """The expected variance of every place by quadrature, and (where g is given) Σ g · its gradient."""
    k, m, cp = len(sample.cluster_place), sample.n_places, sample.cluster_place
    pairs = kind.endswith("samp")
    over, under = np.zeros(m), np.zeros(m)
    nodes = _nodes(sample, kind)
    idle = rest(np.bincount(sample.cluster, weights=w))
    for x, c_over, c_under in nodes:
        at = _at(x, w, idle, sample, pairs)
        over += c_over * at.product * at.top
        under += c_under * at.product * at.low
    most = np.zeros(k)
    np.maximum.at(most, sample.cluster, where(w > 0, sample.n, 0.0))
    possible = np.bincount(cp, weights=most, minlength=m) >= (2 if pairs else 1)
    under, over = where(possible, under, 0.0), where(sample.alone, 0.0, over)
    safe = where(under > 0, under, 1.0)
    value = where(under > 0, over / safe, np.nan)
    out = np.zeros(len(w))
    if g is None:
        return value, out
    g_over = where((under > 0) & ~sample.alone, g / safe, 0.0)
    g_under = where(under > 0, -g * over / safe**2, 0.0)
    for x, c_over, c_under in nodes:
        at = _at(x, w, idle, sample, pairs)
        a, b, _, d, _, _ = at.parts
        t, u = (g_over * c_over * at.product)[cp], (g_under * c_under * at.product)[cp]
        ga = t * (at.sums[1][cp] - b) + u * (2 * (at.sums[0][cp] - a) - 1 if pairs else 1.0)
        grads = (ga, t * (at.sums[0][cp] - a), t, t * 2 * (d - at.sums[2][cp]), -t, u if pairs else u * 0)
        through_phi = t * at.top[cp] + u * at.low[cp] - sum(gr * p for gr, p in zip(grads, at.parts, strict=True))
        for gr, table in zip((through_phi, *grads), at.tables, strict=True):
            out += (gr / at.phi)[sample.cluster] * table
        out -= (through_phi / at.phi)[sample.cluster]
    return value, out


def _expanded(kind: str, mean: Array, cov: Array) -> Array:
    """f(μ) + ½ Σ f_ab(μ) · Cov_ab for (N, S, Q): `mean` (3, …), `cov` (6, …) of NN, NS, NQ, SS, SQ, QQ."""
    n, s, q = mean
    nn, ns, nq, ss = cov[:4]
    if kind.endswith("pop"):
        value = q / n - (s / n) ** 2
        f_nn, f_ns = 2 * q / n**3 - 6 * s**2 / n**4, 4 * s / n**3
        f_nq, f_ss = -1 / n**2, -2 / n**2
    else:
        # f = Q/(N − 1) − S²·h with h = 1/(N − 1) − 1/N
        one = n - 1
        h, h1, h2 = 1 / one - 1 / n, 1 / n**2 - 1 / one**2, 2 / one**3 - 2 / n**3
        value = q / one - s**2 * h
        f_nn, f_ns = 2 * q / one**3 - s**2 * h2, -2 * s * h1
        f_nq, f_ss = -1 / one**2, -2 * h
    out: Array = value + 0.5 * (f_nn * nn + f_ss * ss) + f_ns * ns + f_nq * nq
    return out


def _moments(w: Array, sample: Sample) -> tuple[Array, Array, Array]:
    """Expectations of each cluster (3, k); of each place (3, n_places); covariances of each place (6, n_places)."""
    columns = (sample.n, sample.s, sample.q)
    m = sample.n_places
    first = np.stack([np.bincount(sample.cluster, weights=w * c) for c in columns])
    mean = np.stack([np.bincount(sample.cluster_place, weights=x, minlength=m) for x in first])
    cov = []
    for a in range(3):
        for b in range(a, 3):
            both = np.bincount(sample.cluster, weights=w * columns[a] * columns[b]) - first[a] * first[b]
            cov.append(np.bincount(sample.cluster_place, weights=both, minlength=m))
    return first, mean, np.stack(cov)


def _large(w: Array, sample: Sample, kind: str, g: Array | None) -> tuple[Array, Array]:
    """The expansion to second order of every place, and (where g is given) Σ g · its gradient."""
    first, mean, cov = _moments(w, sample)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = _expanded(kind, mean, cov)
        out = np.zeros(len(w))
        if g is None:
            return value, out
        columns, cp = (sample.n, sample.s, sample.q), sample.place
        live = where(np.isfinite(value), g, 0.0)
        # complex steps: the derivative without a difference
        by_mean = [_slope(kind, mean, cov, a, 0) * live for a in range(3)]
        by_cov = [_slope(kind, mean, cov, j, 1) * live for j in range(6)]
    j = 0
    for a in range(3):
        out += np.nan_to_num(by_mean[a])[cp] * columns[a]
        for b in range(a, 3):
            inner = (
                columns[a] * columns[b] - columns[a] * first[b][sample.cluster] - columns[b] * first[a][sample.cluster]
            )
            out += np.nan_to_num(by_cov[j])[cp] * inner
            j += 1
    return value, out


def _slope(kind: str, mean: Array, cov: Array, j: int, which: int) -> Array:
    moved = [mean.astype(complex), cov.astype(complex)]
    moved[which][j] += 1j * STEP
    return np.imag(_expanded(kind, moved[0], moved[1])) / STEP


def _by_size(w: Array, sample: Sample, kind: str, g: Array | None) -> tuple[Array, Array]:
    """By quadrature where few tuples are expected, else to second order: there the two hardly differ."""
    _, mean, cov = _moments(w, sample)
    few = mean[0] + 8 * np.sqrt(np.maximum(cov[0], 0.0)) <= FEW_TUPLES
    value, out = _large(w, sample, kind, None if g is None else where(few, 0.0, g))
    if few[sample.place].any():
        part, slope = _small(w, sample, kind, None if g is None else where(few, g, 0.0))
        value, out = where(few, part, value), out + slope
    return value, out


def _both(w: Array, samples: tuple[Sample, ...], kind: str, g: Array | None) -> tuple[Array, Array]:
    value, out = np.full(samples[0].n_places, np.nan), np.zeros(len(w))
    for sample, rule in zip(samples, (_small, _by_size, _large), strict=True):
        if len(sample.outcomes):
            part, slope = rule(w[sample.outcomes], sample, kind, g)
            value = where(sample.here, part, value)
            out[sample.outcomes] = slope
    return value, out


def sample_variance(
    w: Array, cluster: Array, cluster_place: Array, n_places: int, n: Array, s: Array, q: Array, kind: str
) -> Array:
    """E[VAR], given that it is not NULL, or the root of it (STDDEV), of each place, shape (n_places,); NaN where NULL.

    `kind` is var_samp, var_pop, stddev_samp or stddev_pop.

    >>> w, place = np.array([1.0, 0.5]), np.array([0, 0])
    >>> v = np.array([1.0, 3.0])
    >>> sample_variance(w, np.array([0, 1]), place, 1, np.ones(2), v, v * v, "var_pop").round(9).tolist()
    [0.5]
    """
    value = _both(w, _samples(cluster, cluster_place, n_places, n, s, q), kind, None)[0]
    return np.sqrt(np.maximum(value, 0.0)) if kind.startswith("stddev") else value


def variance_rule(cluster: Array, cluster_place: Array, n_places: int, n: Array) -> Array:
    """True for the places whose VAR is exact (STDDEV, its root, is not), shape (n_places,).

    >>> many = np.arange(1500)
    >>> variance_rule(many, (many >= 300).astype(int), 2, np.ones(1500)).tolist()
    [True, False]
    """
    most = np.zeros(len(cluster_place))
    np.maximum.at(most, cluster, n)
    tall = np.bincount(cluster_place, weights=most, minlength=n_places)
    exact: Array = (np.bincount(cluster_place, minlength=n_places) <= FEW_CLUSTERS) & (tall <= FEW_TUPLES)
    return exact


def _variance_vjp(
    g: Array, w: Array, cluster: Array, cluster_place: Array, n_places: int, n: Array, s: Array, q: Array, kind: str
) -> Array:
    samples = _samples(cluster, cluster_place, n_places, n, s, q)
    if kind.startswith("stddev"):
        value = _both(w, samples, kind, None)[0]
        g = where(value > 0, g / (2 * np.sqrt(where(value > 0, value, 1.0))), 0.0)
    return _both(w, samples, kind, g)[1]


def hard_variance(
    w: Array, cluster: Array, cluster_place: Array, n_places: int, n: Array, s: Array, q: Array, kind: str
) -> Array:
    """The statistic of the tuples that the outcomes with w = 1 stand for; NaN where SQL gives NULL."""
    place = cluster_place[cluster]
    count, total = (np.bincount(place, weights=w * x, minlength=n_places) for x in (n, s))
    middle = (total / np.maximum(count, 1))[place]
    squares = np.bincount(place, weights=w * (q - 2 * middle * s + n * middle**2), minlength=n_places)
    least = 2 if kind.endswith("samp") else 1
    known = count >= least
    safe = where(known, count, 2.0)
    inner = np.maximum(squares, 0.0) / (safe - (least - 1))
    return where(known, np.sqrt(inner) if kind.startswith("stddev") else inner, np.nan)


FORWARD: dict[str, Forward] = {"sample_variance": sample_variance}
EXACT: dict[str, Forward] = {"sample_variance": hard_variance}
GRADIENT: dict[str, VJP] = {"sample_variance": lambda g, w, *attrs: (_variance_vjp(g, w, *attrs),)}
