"""Which parameters rankings look at, and whether they are those of the last layer alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rain_debug.errors import ModelError, nearest


@dataclass(frozen=True, eq=False)
class Tail:
    """A layer whose output is the module's: `names` of its parameters there, `prefix` of theirs in the whole module.

    `modules` are the layer in each copy of the module, `width` the numbers that it takes and puts out for a row.
    """

    prefix: str
    names: tuple[str, ...]
    modules: Sequence[Any]
    width: int

    @contextmanager
    def caught(self) -> Iterator[dict[int, Tensor]]:
        """What the layer of each copy was last given, by the number of the copy."""
        found: dict[int, Tensor] = {}
        with ExitStack() as hooks:
            for i, layer in enumerate(self.modules):
                handle = layer.register_forward_pre_hook(lambda layer, given, i=i: found.update({i: given[0]}))
                hooks.callback(handle.remove)
            yield found


def choose(module: Any, trained: list[str], wanted: str | Sequence[str], where: str) -> tuple[str, ...]:
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


def tail(modules: Sequence[Any], chosen: Sequence[str], x: Tensor) -> Tail | None:
    """The layer that owns all of `chosen`, where it is called once, at last, with one tensor of rows; else None.

    The layers before it then give the same for every choice of its parameters.
    """
    layers = {n.rpartition(".")[0] for n in chosen}
    layer = next(iter(layers))
    everywhere = [id(p) for _, p in modules[0].named_parameters(remove_duplicate=False)]
    own = dict(modules[0].named_parameters())
    if len(layers) > 1 or not layer or any(everywhere.count(id(own[n])) > 1 for n in chosen):
        return None
    calls: list[tuple[Any, Any, Any]] = []
    inner = modules[0].get_submodule(layer)
    hook = inner.register_forward_hook(lambda _, args, kwargs, out: calls.append((args, kwargs, out)), with_kwargs=True)
    try:
        with torch.no_grad():
            out = modules[0](x)
    finally:
        hook.remove()
    if len(calls) != 1 or calls[0][2] is not out or calls[0][1] or len(calls[0][0]) != 1:
        return None
    (given,), _, _ = calls[0]
    if not isinstance(given, Tensor) or given.ndim < 2 or len(given) != len(x):
        return None
    names = tuple(n.removeprefix(layer + ".") for n in chosen)
    width = (given.numel() + out.numel()) // len(x)
    return Tail(layer + ".", names, [m.get_submodule(layer) for m in modules], width)
