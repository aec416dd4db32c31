"""curvlinops: the Hessian as an operator, inverted by conjugate gradients; or KFAC. Scores by one forward-mode pass."""

from __future__ import annotations

import torch
from curvlinops import CGInverseLinearOperator, HessianLinearOperator, KFACInverseLinearOperator, KFACLinearOperator
from curvlinops._torch_base import PyTorchLinearOperator
from net import loader, loss, module, query, records
from torch.func import functional_call, jvp

BATCH = 4096


class Identity(PyTorchLinearOperator):
    """I on the space of another operator."""

    SELF_ADJOINT, device, dtype = True, torch.device("cpu"), torch.float32

    def _matmat(self, M):
        return M


def cg(model, criterion, params, data, damping):
    A = HessianLinearOperator(model, criterion, params, data, check_deterministic=False)
    # Its tolerance is relative to ‖b‖ and it does ten steps at least.
    return CGInverseLinearOperator(A + damping * Identity(A._in_shape, A._out_shape), tolerance=1e-3, max_iter=2000)


def kfac(model, criterion, params, data, damping):
    A = KFACLinearOperator(model, criterion, params, data, fisher_type="type-2", check_deterministic=False)
    return KFACInverseLinearOperator(A, damping=damping, use_exact_damping=True)


def method(inverse):
    def prepare(task):
        model, (X, y), test = module(task), records(task), query(task)
        params, each = list(model.parameters()), loss(task, "none")

        def run():
            target = torch.autograd.grad(loss(task)(model(test[0]), test[1]), params)
            found = inverse(model, loss(task), params, loader((X, y), BATCH), task.l2 + task.damping) @ list(target)
            at = {name: p.detach() for name, p in model.named_parameters()}
            along = dict(zip(at, found, strict=True))
            return jvp(lambda p: each(functional_call(model, p, X), y), (at,), (along,))[1]

        return run

    return prepare


METHODS = {"cg": method(cg), "kfac": method(kfac)}
