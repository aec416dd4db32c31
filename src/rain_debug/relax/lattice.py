"""The distribution of a sum of independent integers, and how the probability of an event about it depends on each.

Columns of probabilities: an array (width, n, b) holds, for b places at once, the distributions of n independent numbers
0 … width − 1. They are added pairwise, level by level. Nothing is ever subtracted or divided, so that the smallest
probabilities are as accurate as the largest.
"""

from __future__ import annotations

import numpy as np

from rain_debug.relax.arrays import Array

WIDE = 64
"""From this width on a convolution is done pair by pair."""


def add(a: Array, b: Array, cap: int) -> Array:
    """The distribution of the sum of two numbers, shape (width, n, b); `cap − 1` stands for itself and more."""
    wa, wb = len(a), len(b)
    if wa >= WIDE:
        flat_a, flat_b = a.reshape(wa, -1).T, b.reshape(wb, -1).T
        whole = np.stack([np.convolve(x, y) for x, y in zip(flat_a, flat_b, strict=True)], axis=1)
        out = whole.reshape(wa + wb - 1, *a.shape[1:])
    else:
        out = np.zeros((wa + wb - 1, *a.shape[1:]))
        for i in range(wa):
            out[i : i + wb] += a[i] * b
    if len(out) > cap:
        out = np.concatenate([out[: cap - 1], out[cap - 1 :].sum(axis=0, keepdims=True)])
    return out


def towards(g: Array, other: Array, width: int) -> Array:
    """Σ_j g[i + j] · other[j] for i < `width`: what an event about a sum is worth to one number, given the other's.

    An index beyond the end of `g` counts as its last.
    """
    need = width + len(other) - 1
    if len(g) < need:
        g = np.concatenate([g, np.repeat(g[-1:], need - len(g), axis=0)])
    if width >= WIDE:
        flat_g, flat_o = g[:need].reshape(need, -1).T, other.reshape(len(other), -1).T
        parts = [np.correlate(x, y, mode="valid") for x, y in zip(flat_g, flat_o, strict=True)]
        return np.stack(parts, axis=1).reshape(width, *other.shape[1:])
    out = np.zeros((width, *other.shape[1:]))
    for j in range(len(other)):
        out += g[j : j + width] * other[j]
    return out


def levels(leaves: Array, cap: int) -> list[Array]:
    """The leaves (width, n, b), their pairwise sums, the sums of these, … up to the whole sum (width, 1, b)."""
    out = [leaves]
    while out[-1].shape[1] > 1:
        x = out[-1]
        if x.shape[1] % 2:
            x = out[-1] = np.concatenate([x, _zero(x[:, :1])], axis=1)
        out.append(_flushed(add(x[:, 0::2], x[:, 1::2], cap)))
    return out


def worth(tree: list[Array], event: Array) -> Array:
    """P(event | number k is x), shape like the leaves, where `event` (width, b) is 1 at the sums that it holds for."""
    g = event[:, None, :]
    for x in tree[-2::-1]:
        g, below = g[:, : x.shape[1] // 2], np.empty_like(x)
        below[:, 0::2] = towards(g, x[:, 1::2], len(x))
        below[:, 1::2] = towards(g, x[:, 0::2], len(x))
        g = _flushed(below)
    return g


def _zero(like: Array) -> Array:
    out = np.zeros_like(like)
    out[0] = 1.0
    return out


def _flushed(x: Array) -> Array:
    x[np.abs(x) < 1e-290] = 0.0  # below, arithmetic becomes slow
    return x
