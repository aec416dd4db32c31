"""dattri. All records are one batch: it solves with each batch's Hessian apart and adds the solutions up."""

from __future__ import annotations

import torch
from dattri.algorithm.influence_function import IFAttributorCG, IFAttributorExplicit
from dattri.task import AttributionTask
from net import loader, loss, module, query, records


def attributor(kind, **options):
    def prepare(task):
        model, criterion = module(task), loss(task)

        def f(params, data):
            x, y = data
            return criterion(torch.func.functional_call(model, params, x), y)

        train, test, l2 = records(task), query(task), task.l2 + task.damping

        def run():
            described = AttributionTask(f, model, model.state_dict())
            found = kind(described, regularization=l2, **options)
            found.cache(loader(train))
            with torch.no_grad():
                return found.attribute(loader(train), loader(test))[:, 0]

        return run

    return prepare


METHODS = {
    "explicit": attributor(IFAttributorExplicit),
    # Its `tol` is not looked at: the number of steps is all there is to choose. Ten are its default.
    "cg, 10 steps": attributor(IFAttributorCG),
    "cg, 40 steps": attributor(IFAttributorCG, max_iter=40),
    "cg, 300 steps": attributor(IFAttributorCG, max_iter=300),
}
