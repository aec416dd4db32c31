"""Products with a module's Jacobian both ways, and with the second derivatives of its margins, by reverse mode twice.

g(u) = Jᵀu is linear in u, so that differentiating ⟨g(u), v⟩ by u gives J v; by θ, it gives Σ_k u_k ∇²z_k v
(Pearlmutter, 1994). Both passes go over graphs that stay the same while θ does, and they are kept where they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rain_debug.models.torch.calls import SHARES, Call, array, flat

KEPT = 1 << 25
"""Numbers that layers put out, of all rows, up to which graphs are kept: 1,000 images of a small convolutional network,
a third of a gigabyte in single precision. A product then costs half of the first."""

Curve = Callable[[slice, np.ndarray, np.ndarray], np.ndarray]
"""Rows, their margins and a change of them, (n_margins, n_rows) each → what is pulled back."""
Graph = tuple[Tensor, Tensor, Sequence[Tensor]]


class Tangents:
    """The Jacobian of the margins of rows at one θ. `over` runs a pass, `tensor` makes tensors, `keep` keeps graphs.

    `weights` (n_margins, n_rows) are the u at which second derivatives of the margins are taken; without, there are
    none.
    """

    def __init__(
        self,
        call: Call,
        values: Sequence[Tensor],
        over: Callable[[Callable[[int, slice, Tensor], None]], None],
        tensor: Callable[[np.ndarray], Tensor],
        weights: np.ndarray | None = None,
        *,
        keep: bool = False,
    ) -> None:
        self._call, self._over, self._tensor, self._weights, self._keep = call, over, tensor, weights, keep
        self._values = [[v.detach().clone().requires_grad_() for v in values] for _ in range(SHARES)]
        self._graphs: dict[int, Graph] = {}

    def push(self, V: np.ndarray, use: Callable[[slice, np.ndarray, np.ndarray], None]) -> None:
        """`use` gets rows, their margins, and J V for V (k, m) as (m, n_margins, n_rows)."""
        along = [self._split(v) for v in V.T]

        def work(share: int, rows: slice, x: Tensor) -> None:
            Z, u, g = self._graph(share, rows, x)
            U = [_grad(g, [u], v)[0] for v in along]
            use(rows, array(Z).T, np.stack([array(d).T for d in U]))

        self._over(work)

    def round_trip(self, V: np.ndarray, curve: Curve) -> np.ndarray:
        """Σ_i J_iᵀ S_i J_i V, (k, m), where `curve` applies S; with `weights`, and Σ_i u_i·∇²z_i V."""
        along = [self._split(v) for v in V.T]
        sums = [[[torch.zeros_like(t) for t in own] for _ in along] for own in self._values]

        def work(share: int, rows: slice, x: Tensor) -> None:
            own = self._values[share]
            Z, u, g = self._graph(share, rows, x)
            for v, total in zip(along, sums[share], strict=True):
                dZ, *bent = _grad(g, [u, *own] if self._weights is not None else [u], v)
                r = self._tensor(curve(rows, array(Z).T, array(dZ).T).T)
                for t, part in zip(total, _grad([Z], own, [r]), strict=True):
                    t += part
                for t, part in zip(total, bent, strict=False):
                    t += part

        self._over(work)
        return np.stack([sum(flat(one) for one in each) for each in zip(*sums, strict=True)], axis=1)

    def _graph(self, share: int, rows: slice, x: Tensor) -> Graph:
        """Margins, u, and Jᵀu as functions of u and of this share's parameters."""
        if rows.start in self._graphs:
            return self._graphs[rows.start]
        own = self._values[share]
        Z = self._call(share, own, x)
        u = torch.zeros_like(Z) if self._weights is None else self._tensor(self._weights[:, rows].T)
        u.requires_grad_()
        graph = Z, u, torch.autograd.grad([Z], own, [u], create_graph=True, materialize_grads=True)
        if self._keep:
            self._graphs[rows.start] = graph
        return graph

    def _split(self, v: np.ndarray) -> list[Tensor]:
        own = self._values[0]
        parts = self._tensor(v).split([t.numel() for t in own])
        return [part.view(t.shape) for t, part in zip(own, parts, strict=True)]


def _grad(outputs: Sequence[Tensor], inputs: Sequence[Tensor], along: Sequence[Tensor]) -> Any:
    """Derivatives that leave the graph as it is; 0 where there are none."""
    moved = [(o, a) for o, a in zip(outputs, along, strict=True) if o.requires_grad]
    if not moved:
        return [torch.zeros_like(i) for i in inputs]
    outs, alongs = zip(*moved, strict=True)
    return torch.autograd.grad(outs, inputs, alongs, retain_graph=True, materialize_grads=True)
