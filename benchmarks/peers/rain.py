"""This library, as `debug` uses it, cold: nothing is known of the data but the parameters."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
import tasks

from rain_debug import influence
from rain_debug.data.threads import serial


def method(tolerance):
    def prepare(task):
        described = tasks.Task("task", task.X.astype(np.float64), task.y, task.classes, task.C, task.damping, None)
        model, records = tasks.bound(described)
        keep, theta = np.ones(records.n_records, dtype=bool), task.theta.ravel()
        formed = model.hessian(records, keep, theta).cheap

        def run():
            cold = replace(records, cache={})
            # As a ranker does it, but for the round around it.
            with serial():
                solution = influence.ihvp(
                    model, cold, keep, theta, task.gradient.ravel(), damping=task.damping, tolerance=tolerance
                )
                found = influence.products(model, cold, keep, theta, solution.value)
            # Besides the products with H: the probabilities at θ, the scores, and H itself where it is formed.
            run.passes = 2 + formed + (2 if solution.solver == "cholesky" else solution.iterations)
            return found

        return run

    return prepare


METHODS = {"to 1e-3": method(1e-3), "to 1e-6": method(1e-6)}
