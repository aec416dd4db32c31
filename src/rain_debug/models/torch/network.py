"""A module as a function of one vector θ: margins, and products with their Jacobian, a block of rows at a time.

Arrays are NumPy's outside and run (n_margins, n_rows), as `links` takes them; θ is float64 whatever the module's type.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from rain_debug.data import Design
from rain_debug.errors import ModelError, nearest
from rain_debug.models.torch.classifier import TorchClassifier

CELLS = 1 << 23
"""Numbers that the layers put out in a block of rows: 256 images of a small convolutional network, where 1,024 took
twice as long; all rows of a small perceptron, where blocks of 256 took four times as long."""

TAKES = "it takes (n_rows, n_features) and returns (n_rows, n_classes); input_shape=(1, 28, 28) reshapes the rows"
FORWARD = "its operations must have derivatives in forward mode (torch.func.jvp); write it with those that have"
SINGLE = "its operations must have derivatives for single rows (torch.func.vmap); write it with those that have"

Residuals = Callable[[slice, np.ndarray], np.ndarray]
"""Rows and their margins (n_margins, n_rows) → what is pulled back from there, of the same shape."""


class Network:
    """`start` (n_params,) are the parameters that the module came with, `index` positions of those rankings look at.

    `penalised` (n_params,) marks those with two axes or more. `n_margins` is known once `meet` has seen the columns.
    """

    def __init__(self, spec: TorchClassifier, where: str) -> None:
        self.where, self._shape = where, spec.input_shape
        self._dtype = torch.float64 if spec.dtype == "float64" else torch.float32
        self._device, self._threads = _device(spec.device, where), spec.threads
        with self._users():
            self._given = copy.deepcopy(spec.module)
            self._module = copy.deepcopy(spec.module).to(self._device, self._dtype).eval()
        trained = {n: p.detach() for n, p in self._module.named_parameters() if p.requires_grad}
        if not trained:
            raise ModelError(
                "no parameter of the module requires a gradient: there is nothing to train",
                where=where,
                hint="parameter.requires_grad_(True) for those that are to be trained",
            )
        self._module.requires_grad_(False)
        self.n_margins, self._rows = 0, 1
        self._shapes = {n: p.shape for n, p in trained.items()}
        sizes = [p.numel() for p in trained.values()]
        self.penalised = np.repeat([p.ndim >= 2 for p in trained.values()], sizes)
        self.start = np.concatenate([_array(p).ravel() for p in trained.values()])
        self._chosen = _choose(self._module, list(trained), spec.parameters, where)
        self.index = np.flatnonzero(np.repeat([n in self._chosen for n in trained], sizes))

    @property
    def n_params(self) -> int:
        """Length of θ."""
        return len(self.start)

    def meet(self, columns: int) -> None:
        """Learn how many logits a row has; `ModelError` where the module does not take rows of so many columns."""
        wanted = columns if self._shape is None else int(np.prod(self._shape))
        if wanted != columns:
            raise ModelError(
                f"input_shape={tuple(self._shape or ())} are {wanted:,} numbers, a row has {columns:,} features",
                where=self.where,
                hint="name as many features, or give the shape that the module takes",
            )
        x, v = np.zeros((2, columns)), np.ones(len(self.index))
        width = [columns]

        def count(layer: Any, given: Any, out: Any) -> None:
            width.append(out.numel() if isinstance(out, Tensor) else 0)

        hooks = [layer.register_forward_hook(count) for layer in self._module.modules()]
        self.n_margins = len(self.margins(x[:1], self.start))
        for hook in hooks:
            hook.remove()
        self._rows = max(1, CELLS // sum(width))
        self.round_trip(x, self.start, v, lambda rows, Z, U: U)

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
        call, s = self._function(theta, self._chosen)
        with self._users(), torch.no_grad():
            parts = [_array(call(s, x)).T for _, x in self._blocks(X)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((self.n_margins, 0))

    def push(self, X: Design, theta: np.ndarray, v: np.ndarray) -> np.ndarray:
        """J v, (n_margins, n_rows), for v along `index`: one forward pass."""
        call, s = self._function(theta, self._chosen)
        along, out = self._tensor(v), []
        with self._users(FORWARD), torch.no_grad():
            for _, x in self._blocks(X):
                out.append(_array(torch.func.jvp(lambda t, x=x: call(t, x), (s,), (along,))[1]).T)
        return np.concatenate(out, axis=1)

    def pull(self, X: Design, theta: np.ndarray, residuals: Residuals, *, every: bool = False) -> np.ndarray:
        """Σ_i J_iᵀ r_i along `index`, or along all of θ; `residuals` gives r where the margins are known."""
        call, s = self._function(theta, tuple(self._shapes) if every else self._chosen)
        total = torch.zeros_like(s)
        with self._users():
            for rows, x in self._blocks(X):
                Z, back = torch.func.vjp(lambda t, x=x: call(t, x), s)
                total += back(self._tensor(residuals(rows, _array(Z).T).T))[0]
        return _array(total)

    def round_trip(self, X: Design, theta: np.ndarray, v: np.ndarray, curve: Callable[..., np.ndarray]) -> np.ndarray:
        """Σ_i J_iᵀ S_i J_i v along `index`, where `curve` applies S to J v: one pass forth and one back."""
        call, s = self._function(theta, self._chosen)
        along, total = self._tensor(v), torch.zeros_like(s)
        with self._users(FORWARD):
            for rows, x in self._blocks(X):

                def both(t: Tensor, x: Tensor = x) -> tuple[Tensor, Tensor]:
                    return torch.func.jvp(lambda u: call(u, x), (t,), (along,))

                Z, back, dZ = torch.func.vjp(both, s, has_aux=True)
                total += back(self._tensor(curve(rows, _array(Z).T, _array(dZ).T).T))[0]
        return _array(total)

    def jacobians(self, X: Design, theta: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """J (n_rows, n_margins, n_chosen) a few rows at a time."""
        call, s = self._function(theta, self._chosen)
        one = torch.func.vmap(torch.func.jacrev(lambda t, x: call(t, x[None])[0]), (None, 0))
        with self._users(SINGLE), torch.no_grad():
            for rows, x in self._blocks(X, CELLS // (2 * len(s))):
                yield rows, _array(one(s, x))

    def gradients(self, X: Design, theta: np.ndarray, R: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """J_iᵀ r_i of each row, (n_rows, n_chosen), a few rows at a time; R is (n_margins, n_rows)."""
        call, s = self._function(theta, self._chosen)
        one = torch.func.vmap(torch.func.grad(lambda t, x, r: (call(t, x[None])[0] * r).sum()), (None, 0, 0))
        with self._users(SINGLE), torch.no_grad():
            for rows, x in self._blocks(X, CELLS // (2 * len(s))):
                yield rows, _array(one(s, x, self._tensor(R[:, rows].T)))

    # ---- tensors --------------------------------------------------------------------------------------------------

    def _function(self, theta: np.ndarray, names: Sequence[str]) -> tuple[Callable[[Tensor, Tensor], Tensor], Tensor]:
        """Margins (n_rows, n_margins) as a function of the parameters called `names`, and their values."""
        fixed = self._split(theta)
        s = torch.cat([fixed[n].reshape(-1) for n in names])
        sizes = [fixed[n].numel() for n in names]

        def call(t: Tensor, x: Tensor) -> Tensor:
            moved = zip(names, t.split(sizes), strict=True)
            values: Mapping[str, Tensor] = fixed | {n: part.view(self._shapes[n]) for n, part in moved}
            inputs = x if self._shape is None else x.reshape(len(x), *self._shape)
            out = torch.func.functional_call(self._module, values, (inputs,))
            if not isinstance(out, Tensor) or out.ndim not in (1, 2) or len(out) != len(x):
                what = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
                raise RuntimeError(f"it returned {what} for {len(x)} rows")
            return out[:, None] if out.ndim == 1 else out

        return call, s

    def _split(self, theta: np.ndarray) -> dict[str, Tensor]:
        parts = self._tensor(theta).split([s.numel() for s in self._shapes.values()])
        return {n: part.view(shape) for (n, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def _blocks(self, X: Design, most: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        count = self._rows if most is None else max(1, min(self._rows, most))
        for begin in range(0, X.shape[0], count):
            rows = slice(begin, min(X.shape[0], begin + count))
            yield rows, self._tensor(X[rows].toarray() if sp.issparse(X) else X[rows])

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self._device)

    @contextmanager
    def _users(self, hint: str = TAKES) -> Iterator[None]:
        """The module is the user's: what it raises is reported with its place, and it gets the threads asked for."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            yield
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError) as error:
            first = str(error).strip().split("\n")[0]
            raise ModelError(
                f"the module failed: {first} ({type(error).__name__})", where=self.where, hint=hint
            ) from error
        finally:
            torch.set_num_threads(before)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy()


def _device(name: str, where: str) -> torch.device:
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first = str(error).strip().split("\n")[0]
        raise ModelError(f"PyTorch has no device '{name}': {first}", where=where, hint="device='cpu'") from None


def _choose(module: Any, trained: list[str], wanted: str | Sequence[str], where: str) -> tuple[str, ...]:
    """Names of parameters, in the module's order: all, the last layer's, or those named, layers for all of theirs."""
    if wanted == "all":
        return tuple(trained)
    if wanted == "last":
        layers = [n.rpartition(".")[0] for n in trained]
        return tuple(n for n, layer in zip(trained, layers, strict=True) if layer == layers[-1])
    names = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    layers = [n for n, _ in module.named_modules() if n and any(t.startswith(n + ".") for t in trained)]
    for name in names:
        if name not in trained and name not in layers:
            raise ModelError(
                f"the module trains no parameter or layer '{name}'",
                where=where,
                hint=nearest(str(name), [*layers, *trained, "all", "last"]),
            )
    if not names:
        raise ModelError("parameters=() leaves nothing to rank by", where=where, hint="parameters='all'")
    return tuple(n for n in trained if any(n == name or n.startswith(f"{name}.") for name in names))
