"""kronfluence: EK-FAC, the most exact of what it offers. No solver of it iterates on the Hessian itself."""

from __future__ import annotations

import tempfile

import torch
from kronfluence.analyzer import Analyzer, prepare_model
from kronfluence.arguments import FactorArguments, ScoreArguments
from kronfluence.task import Task
from kronfluence.utils.dataset import DataLoaderKwargs
from net import Rows, loss, module, query, records


class LogLoss(Task):
    """The training loss summed over a batch; the measurement is the same loss of the queried row."""

    def __init__(self, task) -> None:
        self.criterion, self.binary = loss(task, "sum"), task.binary

    def compute_train_loss(self, batch, model, sample=False):
        logits = model(batch[0])
        if not sample:
            return self.criterion(logits, batch[1])
        with torch.no_grad():
            p = torch.sigmoid(logits) if self.binary else torch.softmax(logits, 1)
            drawn = torch.bernoulli(p) if self.binary else torch.multinomial(p, 1)[:, 0]
        return self.criterion(logits, drawn)

    def compute_measurement(self, batch, model):
        return self.criterion(model(batch[0]), batch[1])


def ekfac(task):
    train, test = Rows(*records(task)), Rows(*query(task))

    def run():
        torch.manual_seed(0)
        described = LogLoss(task)
        with tempfile.TemporaryDirectory() as folder:
            found = Analyzer("f", prepare_model(module(task), described), described, cpu=True, output_dir=folder)
            found.set_dataloader_kwargs(DataLoaderKwargs(collate_fn=lambda rows: rows))
            found.fit_all_factors("f", train, 4096, factor_args=FactorArguments(strategy="ekfac"))
            arguments = ScoreArguments(damping_factor=task.l2 + task.damping)
            found.compute_pairwise_scores("s", "f", test, train, 1, 4096, score_args=arguments)
            return found.load_pairwise_scores("s")["all_modules"][0]

    return run


METHODS = {"ek-fac": ekfac}
