"""A module as a function of one vector θ: margins, and products with their Jacobian, a block of rows at a time.

Arrays are NumPy's outside and run (n_margins, n_rows), as `links` takes them; θ is float64 whatever the module's type.
"""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from rain_debug.data import Design
from rain_debug.errors import ModelError
from rain_debug.models.torch.calls import CELLS, SHARES, Call, array, cores, flat, keep_freed, kernels, level, shared
from rain_debug.models.torch.choice import Tail, choose, tail
from rain_debug.models.torch.estimators import TorchEstimator
from rain_debug.models.torch.tangents import KEPT, Tangents
from rain_debug.models.torch.twice import twice

SINGLE = 1 << 22
"""Numbers that the Jacobians of a block of rows hold."""
FEW = 3
"""Directions up to which forward mode is the cheaper way, for it goes through the module once for each."""

TAKES = "it takes (n_rows, n_features) and returns (n_rows, n_margins); input_shape=(1, 28, 28) reshapes the rows"
TWICE = "its operations must have second derivatives (double backward); write it with those that have"

Residuals = Callable[[slice, np.ndarray], np.ndarray]
"""Rows and their margins (n_margins, n_rows) → what is pulled back from there, of the same shape."""


class Network:
    """`start` (n_params,) are the parameters that the module came with, `index` positions of those rankings look at.

    `penalised` (n_params,) marks those with two axes or more. `n_margins` is known once `meet` has seen the columns.
    """

    def __init__(self, spec: TorchEstimator, where: str) -> None:
        self.where, self._shape = where, spec.input_shape
        self._dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        self._device = _device(spec.device, where)
        self._threads = 1 if self._device.type != "cpu" else spec.threads or cores()
        with self._users():
            self._given = copy.deepcopy(spec.module)
            module = twice(copy.deepcopy(spec.module).to(self._device, self._dtype).eval())
        trained = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
        if not trained:
            raise ModelError(
                "no parameter of the module requires a gradient: there is nothing to train",
                where=where,
                hint="parameter.requires_grad_(True) for those that are to be trained",
            )
        module.requires_grad_(False)
        tensors = {id(t): t for t in itertools.chain(module.parameters(), module.buffers())}
        keep_freed()
        self._modules = [module, *(copy.deepcopy(module, dict(tensors)) for _ in range(SHARES - 1))]
        self._shapes = {n: p.shape for n, p in trained.items()}
        sizes = [p.numel() for p in trained.values()]
        self.penalised = np.repeat([p.ndim >= 2 for p in trained.values()], sizes)
        self.start = flat(list(trained.values()))
        self._chosen = choose(module, list(trained), spec.parameters, where)
        self.index = np.flatnonzero(np.repeat([n in self._chosen for n in trained], sizes))
        self.n_margins, self._rows, self._width = 0, 1, 1
        self._plain = self._reverse = self._last = self._loops = False
        self._tail: Tail | None = None
        self._inner: dict[int, tuple[Any, np.ndarray, Tensor]] = {}

    @property
    def n_params(self) -> int:
        """Length of θ."""
        return len(self.start)

    @property
    def from_inside(self) -> bool:
        """Whether passes start at the last layer, for which all rows are known already."""
        return self._tail is not None

    # ---- what the module is like ----------------------------------------------------------------------------------

    def meet(self, columns: int) -> None:
        """Learn how many logits a row has, and which kinds of passes the module allows.

        `ModelError` where it does not take rows of so many columns, or cannot be differentiated twice.
        """
        wanted = columns if self._shape is None else int(np.prod(self._shape))
        if wanted != columns:
            raise ModelError(
                f"input_shape={tuple(self._shape or ())} are {wanted:,} numbers, a row has {columns:,} features",
                where=self.where,
                hint="name as many features, or give the shape that the module takes",
            )
        x = np.zeros((2, columns))
        width = [columns]

        def count(layer: Any, given: Any, out: Any) -> None:
            width.append(out.numel() if isinstance(out, Tensor) else 0)

        hooks = [layer.register_forward_hook(count) for layer in self._modules[0].modules()]
        self.n_margins = len(self.margins(x[:1], self.start))
        for hook in hooks:
            hook.remove()
        self._width = sum(width)
        self._rows = max(1, CELLS // self._width)
        with self._users():
            self._tail = tail(self._modules, self._chosen, self._input(x, slice(0, 2)))
        images = len(self._shape or ()) == 3 and self._dtype == torch.float32
        self._last = images and self._works(lambda: self.margins(x, self.start), last=True)
        if self._last:
            for layer in itertools.chain.from_iterable(m.modules() for m in self._modules):
                if isinstance(layer, nn.MaxPool2d):
                    layer.register_forward_hook(_level_back)
        self._settle(x)

    def _settle(self, x: np.ndarray) -> None:
        """The quickest kernels and passes that work: as they are, or those that can be differentiated twice.

        Each has to agree with the module's plain derivatives on ⟨r, J v⟩ = ⟨Jᵀ r, v⟩.
        """
        rng = np.random.default_rng(0)
        v, r = rng.normal(size=(len(self.index), 1)), rng.normal(size=(self.n_margins, len(x)))
        asked = float(self.pull(x, self.start, lambda rows, Z: r[:, rows]) @ v[:, 0])

        def agree(rows: slice, Z: np.ndarray, U: np.ndarray) -> None:
            found = float((r[:, rows] * U[0]).sum())
            if np.isfinite(asked) and abs(found - asked) > 1e-2 * abs(asked) + 1e-4:
                raise ModelError("the module failed: its derivatives disagree", where=self.where, hint=TWICE)

        def twice() -> None:
            made = self.tangents(x, self.start, r)
            made.push(v, agree)
            made.round_trip(v, lambda rows, Z, U: U)

        tries = [(last, plain) for last in dict.fromkeys((self._last, False)) for plain in (False, True)]
        if not any(self._works(twice, last=last, plain=plain) for last, plain in tries):
            twice()  # once more, for its error
        chosen = self._plain
        kinds = dict.fromkeys((chosen, True))
        if not any(self._works(lambda: self.push(x, self.start, v, agree), plain=plain) for plain in kinds):
            self._plain, self._reverse = chosen, True

    def _works(self, attempt: Callable[[], Any], **switches: bool) -> bool:
        """Whether it raises nothing, with these switches, which stay."""
        for name, value in switches.items():
            setattr(self, f"_{name}", value)
        try:
            attempt()
        except ModelError:
            return False
        return True

    def module(self, theta: np.ndarray) -> Any:
        """A copy of the module as it was given, with these parameters."""
        filled = copy.deepcopy(self._given)
        own = dict(filled.named_parameters())
        with torch.no_grad():
            for name, value in self._split(theta).items():
                own[name].copy_(value)
        return filled

    # ---- passes ---------------------------------------------------------------------------------------------------

    def margins(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_margins, n_rows)."""
        found: dict[int, np.ndarray] = {}
        with self._users():
            call, values, over = self._ranked(X, theta)

            def work(share: int, rows: slice, x: Tensor) -> None:
                with torch.no_grad():
                    found[rows.start] = array(call(share, values, x)).T

            over(work)
        parts = [found[start] for start in sorted(found)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((self.n_margins, 0))

    def push(
        self, X: Design, theta: np.ndarray, V: np.ndarray, use: Callable[[slice, np.ndarray, np.ndarray], None]
    ) -> None:
        """`use` gets rows, their margins (n_margins, n_rows), and J V for V (n_chosen, m) as (m, n_margins, n_rows)."""
        if self._reverse or V.shape[1] > FEW:
            self.tangents(X, theta).push(V, use)
            return
        with self._users(), kernels(plain=self._plain):
            call, values, over = self._ranked(X, theta)
            along = [self._parts(values, v) for v in V.T]

            def work(share: int, rows: slice, x: Tensor) -> None:
                U = []
                with torch.no_grad():
                    for v in along:
                        duals = [forward_ad.make_dual(t, d) for t, d in zip(values, v, strict=True)]
                        Z, dZ = forward_ad.unpack_dual(call(share, duals, x))
                        U.append(np.zeros(Z.T.shape) if dZ is None else array(dZ).T)
                use(rows, array(Z).T, np.stack(U))

            with level():
                over(work)

    def pull(self, X: Design, theta: np.ndarray, residuals: Residuals, *, every: bool = False) -> np.ndarray:
        """Σ_i J_iᵀ r_i along `index`, or along all of θ; `residuals` gives r where the margins are known."""
        with self._users():
            call, values, over = self._entire(X, theta) if every else self._ranked(X, theta)
            own = [[v.detach().clone().requires_grad_() for v in values] for _ in range(SHARES)]
            sums = [[torch.zeros_like(v) for v in values] for _ in range(SHARES)]

            def work(share: int, rows: slice, x: Tensor) -> None:
                Z = call(share, own[share], x)
                r = self._tensor(residuals(rows, array(Z).T).T)
                if not r.any():
                    return
                parts = torch.autograd.grad([Z], own[share], [r], materialize_grads=True)
                for total, part in zip(sums[share], parts, strict=True):
                    total += part

            over(work)
            return np.sum([flat(part) for part in sums], axis=0)

    def tangents(self, X: Design, theta: np.ndarray, weights: np.ndarray | None = None) -> Tangents:
        """Products with the Jacobian at θ along `index`, and with the margins' second derivatives at `weights`."""
        with self._users():
            call, values, over = self._ranked(X, theta)

        def guarded(work: Callable[[int, slice, Tensor], None]) -> None:
            with self._users(TWICE), kernels(plain=self._plain):
                over(work)

        keep = X.shape[0] * (self._width if self._tail is None else self._tail.width) <= KEPT
        return Tangents(call, values, guarded, self._tensor, weights, keep=keep)

    def jacobians(self, X: Design, theta: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """J (n_rows, n_margins, n_chosen) a few rows at a time."""
        units = torch.eye(self.n_margins, dtype=self._dtype, device=self._device)
        yield from self._by_row(X, theta, lambda rows: units.expand(rows.stop - rows.start, -1, -1))

    def gradients(self, X: Design, theta: np.ndarray, R: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """J_iᵀ r_i of each row, (n_rows, n_chosen), a few rows at a time; R is (n_margins, n_rows)."""
        for rows, parts in self._by_row(X, theta, lambda rows: self._tensor(R[:, rows].T)[:, None]):
            yield rows, parts[:, 0]

    def _by_row(
        self, X: Design, theta: np.ndarray, along: Callable[[slice], Tensor]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """(n_rows, k, n_chosen) of each row's margins' derivatives along k directions (n_rows, k, n_margins)."""
        with self._users():
            call, values, _ = self._ranked(X, theta)

        def one(x: Tensor, r: Tensor) -> Tensor:
            _, pull = torch.func.vjp(lambda *own: call(0, own, x[None])[0], *values)
            return torch.stack([torch.cat([g.reshape(-1) for g in pull(each)]) for each in r])

        def alone(x: Tensor, r: Tensor) -> np.ndarray:
            own = [v.detach().clone().requires_grad_() for v in values]
            Z = call(0, own, x[None])
            parts = (torch.autograd.grad([Z], own, [k[None]], retain_graph=True, materialize_grads=True) for k in r)
            return np.stack([flat(part) for part in parts])

        def work(rows: slice, x: Tensor) -> np.ndarray:
            r = along(rows)
            if not self._loops:
                try:
                    return array(torch.func.vmap(one)(x, r))
                except RuntimeError:
                    self._loops = True  # an operation that takes no single rows: each row is a block then
            return np.stack([alone(*each) for each in zip(x, r, strict=True)])

        most = max(1, min(self._rows, SINGLE // (self.n_margins * len(self.index))))
        for begin in range(0, X.shape[0], most):
            rows = slice(begin, min(X.shape[0], begin + most))
            with self._users(), kernels(plain=self._plain):
                part = work(rows, self._rows_of(X, theta, rows))
            yield rows, part

    # ---- tensors --------------------------------------------------------------------------------------------------

    def _entire(self, X: Design, theta: np.ndarray) -> tuple[Call, list[Tensor], Callable[..., None]]:
        """Margins as a function of all of θ, its values there, and how a pass goes over the rows."""
        fixed = self._split(theta)

        def over(work: Callable[[int, slice, Tensor], None]) -> None:
            go = lambda share, rows: work(share, rows, self._input(X, rows))  # noqa: E731
            shared(X.shape[0], self._rows, self._threads, go)

        return Call(self._modules, tuple(fixed), {}), list(fixed.values()), over

    def _ranked(self, X: Design, theta: np.ndarray) -> tuple[Call, list[Tensor], Callable[..., None]]:
        """The same, as a function of what rankings look at; where that is the last layer alone, from its inputs."""
        fixed = self._split(theta)
        values = [fixed.pop(n) for n in self._chosen]
        found = self._tail
        if found is None:
            _, _, over = self._entire(X, theta)
            return Call(self._modules, self._chosen, fixed), values, over
        inputs = self._into_tail(X, theta)

        def over_tail(work: Callable[[int, slice, Tensor], None]) -> None:
            go = lambda share, rows: work(share, rows, inputs[rows])  # noqa: E731
            shared(len(inputs), max(1, CELLS // found.width), self._threads, go)

        rest = {n.removeprefix(found.prefix): t for n, t in fixed.items() if n.startswith(found.prefix)}
        return Call(found.modules, found.names, rest), values, over_tail

    def _into_tail(self, X: Design, theta: np.ndarray) -> Tensor:
        """What the last layer gets, (n_rows, …); kept for the last two sets of rows while they live."""
        known = self._inner.get(id(X))
        if known is not None and known[0]() is X and np.array_equal(known[1], theta):
            return known[2]
        assert self._tail is not None
        found: dict[int, Tensor] = {}
        call, values, over = self._entire(X, theta)
        with self._tail.caught() as inputs:

            def work(share: int, rows: slice, x: Tensor) -> None:
                with torch.no_grad():
                    call(share, values, x)
                found[rows.start] = inputs[share].detach()

            over(work)
        alive = {i: k for i, k in self._inner.items() if k[0]() is not None and i != id(X)}
        self._inner = dict(list(alive.items())[-1:])
        whole = torch.cat([found[start] for start in sorted(found)]) if found else torch.zeros(0)
        self._inner[id(X)] = (weakref.ref(X), theta.copy(), whole)
        return whole

    def _rows_of(self, X: Design, theta: np.ndarray, rows: slice) -> Tensor:
        return self._input(X, rows) if self._tail is None else self._into_tail(X, theta)[rows]

    def _split(self, theta: np.ndarray) -> dict[str, Tensor]:
        parts = self._tensor(theta).split([s.numel() for s in self._shapes.values()])
        return {n: part.view(shape) for (n, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def _parts(self, like: Sequence[Tensor], v: np.ndarray) -> list[Tensor]:
        parts = self._tensor(v).split([t.numel() for t in like])
        return [part.view(t.shape) for t, part in zip(like, parts, strict=True)]

    def _input(self, X: Design, rows: slice) -> Tensor:
        x = self._tensor(X[rows].toarray() if sp.issparse(X) else X[rows])
        if self._shape is None:
            return x
        x = x.reshape(len(x), *self._shape)
        if not self._last:
            return x
        # PyTorch takes images with one channel for channels first, and pools those ten times as slowly.
        _, c, h, w = x.shape
        return torch.empty_strided(x.shape, (c * h * w, 1, w * c, c), dtype=x.dtype, device=x.device).copy_(x)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    @contextmanager
    def _users(self, hint: str = TAKES) -> Iterator[None]:
        """The module is the user's: what it raises is reported with its place. PyTorch's own threads are ours."""
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
            first = str(error).strip().split("\n")[0]
            raise ModelError(
                f"the module failed: {first} ({type(error).__name__})", where=self.where, hint=hint
            ) from error
        finally:
            torch.set_num_threads(before)


def _level_back(layer: Any, given: Any, out: Tensor) -> None:
    """What comes back to pooled images takes their layout, channels last: PyTorch takes five times as long else."""
    if out.requires_grad and out.is_contiguous(memory_format=torch.channels_last):
        out.register_hook(lambda back: back.contiguous(memory_format=torch.channels_last))


def _device(name: str, where: str) -> torch.device:
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(f"PyTorch has no device '{name}': {first}", where=where, hint="device='cpu'") from None
