"""TRAK. Its Gram matrix of gradients stands for the Hessian.

The projection is switched off (NoOpProjector) where memory allows; else 2,048 dimensions, its default.
"""

from __future__ import annotations

import tempfile

import torch
from net import module, query, records
from trak import TRAKer
from trak.modelout_functions import ImageClassificationModelOutput
from trak.projectors import BasicProjector, NoOpProjector, ProjectionType

BATCH = 1000


class Binary(ImageClassificationModelOutput):
    """log p/(1 − p) of the record's own label, for one logit a record."""

    @staticmethod
    def get_output(model, weights, buffers, x, y):
        return ((2 * y - 1) * torch.func.functional_call(model, (weights, buffers), x[None])).sum()

    def get_out_to_loss_grad(self, model, weights, buffers, batch):
        z = torch.func.functional_call(model, (weights, buffers), batch[0])
        return torch.sigmoid(-(2 * batch[1] - 1) * z).reshape(-1, 1)


def method(project):
    def prepare(task):
        train, test, size = records(task), query(task), task.theta.size
        if not project and size * len(train[0]) * 4 > 4e9:
            raise NotImplementedError("the features would take more than 4 GB")

        def run():
            kind = BasicProjector if project else NoOpProjector
            dim = 2048 if project else size
            projector = kind(size, dim, 0, ProjectionType.normal, "cpu", **({"block_size": 64} if project else {}))
            output = Binary() if task.binary else ImageClassificationModelOutput()
            model = module(task)
            with tempfile.TemporaryDirectory() as folder:
                found = TRAKer(
                    model,
                    output,
                    len(train[0]),
                    folder,
                    True,
                    "cpu",
                    projector=projector,
                    proj_dim=dim,
                    use_half_precision=False,
                    logging_level=40,
                    lambda_reg=len(train[0]) * (task.l2 + task.damping),
                )
                found.load_checkpoint(model.state_dict(), 0)
                for i in range(0, len(train[0]), BATCH):
                    found.featurize(tuple(c[i : i + BATCH] for c in train), num_samples=len(train[0][i : i + BATCH]))
                found.finalize_features()
                found.start_scoring_checkpoint("q", model.state_dict(), 0, 1)
                found.score(test, num_samples=1)
                return found.finalize_scores("q")[:, 0].copy()

        return run

    return prepare


METHODS = {"no projection": method(False), "2,048 dimensions": method(True)}
