"""Training sets as the rounds so far left them, and the models fitted on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rain_debug.debugger.rounds import Outcome, Round
from rain_debug.debugger.session import Trained
from rain_debug.errors import ModelError, RainError
from rain_debug.fixes import Fix, Repaired, Training


def training_sets(
    rounds: Sequence[Round],
    trained: Mapping[str, Trained],
    repairs: Mapping[str, Repaired],
    open_: Mapping[str, np.ndarray],
) -> dict[str, Training]:
    """Every model's training set after the fixes of these rounds; `open_` records may be fixed."""
    fixes: dict[str, list[tuple[int, Fix]]] = {name: [] for name in trained}
    for done in rounds:
        for c in done.chosen:
            fixes[c.model].append((c.position, c.fix))
    return {
        name: Training.of(t.records, t.model.classes, fixes[name], repairs.get(name), open_[name])
        for name, t in trained.items()
    }


def refit(
    trained: Mapping[str, Trained],
    training: Mapping[str, Training],
    theta: Mapping[str, np.ndarray | None],
    rounds: Sequence[Round],
) -> tuple[dict[str, np.ndarray | None], tuple[Outcome, ...]]:
    """Every model's parameters, searched from the last ones, `theta`, and how each fit ended.

    ModelError where one raises whatever it raises: it is the user's own code, or a library's.
    """
    found, outcomes = dict(theta), []
    for name, t in trained.items():
        now = training[name]
        try:
            fit = t.model.fit(now.records, now.keep, theta[name])
        except RainError:
            raise
        except Exception as error:  # the user's own code, or a library's: whatever it raises
            raise _unfit(name, error, rounds) from error
        found[name] = fit.theta
        code, norm = t.model.fingerprint(fit.theta), float(fit.gradient_norm)
        outcomes.append(Outcome(name, code, bool(fit.converged), int(fit.iterations), norm, fit.note))
    return found, tuple(outcomes)


def _unfit(model: str, error: Exception, rounds: Sequence[Round]) -> ModelError:
    text = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    fixed = sum(len(r.chosen) for r in rounds)
    after = f"after {fixed:,} fixes" if fixed else "on all its records"
    return ModelError(
        f"model '{model}' cannot be fitted {after}: {said}",
        where=f"round {len(rounds) + 1}",
        hint="its own `fit` raises that: fit it there on the same records, and see",
    )
