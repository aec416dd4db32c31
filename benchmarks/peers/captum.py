"""Captum: an explicit Hessian, or Arnoldi. Both project; to as many directions as there are, or as it can do."""

from __future__ import annotations

from captum.influence import NaiveInfluenceFunction
from captum.influence._core.arnoldi_influence_function import ArnoldiInfluenceFunction
from net import loader, loss, module, query, records


def method(kind, batch, **options):
    def prepare(task):
        model, train, test = module(task), records(task), query(task)
        n = len(train[0])

        def run():
            found = kind(
                model,
                loader(train, batch),
                "theta",
                lambda module, _: 1.0,  # θ* is in it already
                loss_fn=loss(task, "sum"),
                sample_wise_grads_per_batch=True,
                hessian_reg=n * (task.l2 + task.damping),
                projection_dim=task.theta.size,
                **options,
            )
            return found.influence(test)[0]

        return run

    return prepare


METHODS = {
    "explicit": method(NaiveInfluenceFunction, None, hessian_inverse_tol=0.0),
    "arnoldi": method(ArnoldiInfluenceFunction, None, arnoldi_dim=300, hessian_inverse_tol=0.0, arnoldi_tol=1e-6),
}
