"""pyDVL: influence by a dense Hessian, and by conjugate gradients with a Nyström preconditioner."""

from __future__ import annotations

from net import loader, loss, module, query, records
from pydvl.influence.torch import CgInfluence, DirectInfluence
from pydvl.influence.torch.preconditioner import NystroemPreconditioner


def influence(make):
    def prepare(task):
        model, train, test = module(task), records(task), query(task)

        def run():
            found = make(model, loss(task), task.l2 + task.damping).fit(loader(train))
            return found.influences_from_factors(found.influence_factors(*test), *train).detach()

        return run

    return prepare


METHODS = {
    "direct": influence(lambda model, loss, l2: DirectInfluence(model, loss, regularization=l2)),
    "cg": influence(lambda model, loss, l2: CgInfluence(model, loss, l2, rtol=1e-3, atol=0.0, maxiter=1000)),
    "cg, Nyström": influence(
        lambda model, loss, l2: CgInfluence(
            model,
            loss,
            l2,
            rtol=1e-3,
            atol=0.0,
            maxiter=1000,
            solve_simultaneously=True,
            preconditioner=NystroemPreconditioner(rank=60),
        )
    ),
}
