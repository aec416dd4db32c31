"""SQL's scalar functions of numbers that predictions move: name → operation; further ones come in by `register`.

Relaxed, a function is applied to the expectations of its arguments, "by value": f(E[x]) in the place of E[f(x)].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.relax.arrays import Array, scaled, unbroadcast, where
from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT

OWN = {"abs": 1, "sqrt": 1, "exp": 1, "ln": 1, "floor": 1, "ceil": 1}
"""The functions that Rain brings along, with how many arguments they take; their operations are called as they are."""

OF_MANY = frozenset({"greatest", "least"})
"""The same, of two arguments and more."""

_REGISTERED: dict[str, int] = {}
"""How many arguments each registered function takes."""


def operation(name: str, arguments: int) -> str | None:
    """The operation of a SQL function of so many arguments; None where it has none.

    >>> operation("exp", 1), operation("greatest", 1), operation("soundex", 1)
    ('exp', None, None)
    """
    if OWN.get(name) == arguments or (name in OF_MANY and arguments > 1):
        return name
    return f"fn_{name}" if _REGISTERED.get(name) == arguments else None


def register(
    name: str,
    value: Callable[..., Array],
    slopes: Callable[..., Array | tuple[Array, ...]],
    *,
    exact: Callable[..., Array] | None = None,
    arguments: int = 1,
) -> None:
    """Give the SQL function `name` a relaxation, by value; the database itself has to know the function too.

    `value` takes `arguments` arrays (n,) or (1,) and gives the function's values, NaN for NULL. `slopes` gives its
    partial derivatives, one array an argument: a tuple of them where it takes several. `exact` is what the function
    really is where `value` is only a smooth stand-in for it, as x is for floor(x). The same name again replaces one's
    own. SQLError for a name of Rain's own, and for functions that do not do that.

    >>> register("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2)
    >>> operation("tanh", 1), GRADIENT["fn_tanh"](np.ones(1), np.zeros(1))[0].tolist()
    ('fn_tanh', [1.0])
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise SQLError(f"a function cannot be called {name!r}", hint="letters, digits and _, such as 'sigmoid'")
    key = name.lower()
    if key in OWN or key in OF_MANY:
        raise SQLError(f"{key.upper()} has a relaxation already", hint="give your function another name")
    _try(key, value, slopes, exact, arguments)

    def pulled(g: Array, *xs: Array) -> tuple[Array, ...]:
        found = _called(key, "slopes", slopes, xs)
        each = found if isinstance(found, tuple) else (found,)
        slope = [where(np.isfinite(s), s, 0.0) for s in each]
        return tuple(unbroadcast(scaled(g, s), x) for s, x in zip(slope, xs, strict=True))

    _REGISTERED[key] = arguments
    FORWARD[f"fn_{key}"], GRADIENT[f"fn_{key}"] = _quiet(key, "value", value), pulled
    EXACT.pop(f"fn_{key}", None)
    if exact is not None:
        EXACT[f"fn_{key}"] = _quiet(key, "exact", exact)


def _try(name: str, value: Any, slopes: Any, exact: Any, arguments: int) -> None:
    """Call each once, so that a slip shows here and not in the middle of a run."""
    point = [np.ones(2)] * arguments
    for role, function in (("value", value), ("slopes", slopes), ("exact", exact)):
        if function is None and role == "exact":
            continue
        found = _called(name, role, function, point)
        each = found if isinstance(found, tuple) else (found,)
        fits = all(np.shape(f) in ((2,), (1,), ()) and np.asarray(f).dtype.kind in "fiub" for f in each)
        if len(each) != (arguments if role == "slopes" else 1) or not fits:
            wanted = f"{arguments} arrays, one an argument" if role == "slopes" and arguments > 1 else "one array"
            raise SQLError(f"{role} of {name.upper()} gives something else than {wanted} of the arguments' length",
                           hint="NumPy's own functions do: lambda x: np.log1p(x)")  # fmt: skip


def _called(name: str, role: str, function: Callable[..., Any], xs: Sequence[Array]) -> Any:
    """What the user's function returns; SQLError, in its name, for whatever it raises."""
    try:
        with np.errstate(all="ignore"):
            return function(*xs)
    except Exception as error:  # the function is the user's: whatever it raises is reported with its name
        raise SQLError(
            f"{role} of {name.upper()} fails for {len(xs)} array{'s' * (len(xs) > 1)}: {type(error).__name__}: {error}",
            hint="it takes as many NumPy arrays as the SQL function takes arguments; say how many: arguments=2",
        ) from error


def _quiet(name: str, role: str, function: Callable[..., Array]) -> Callable[..., Array]:
    """The function with NaN where it has no finite value, as SQL has NULL or an error there."""

    def value(*xs: Array) -> Array:
        out = np.asarray(_called(name, role, function, xs), dtype=float)
        return where(np.isfinite(out), out, np.nan)

    return value
