"""MNIST, Q5: how many ones? And what becomes of it where the complaint itself is wrong."""

from __future__ import annotations

import functools

from rain_debug.bench.case import Case, Experiment, Scene
from rain_debug.bench.mnist.scene import SLOW, corruption
from rain_debug.complaints import Complaint
from rain_debug.debugger import check

SQL = "SELECT count(*) AS n FROM mnist m WHERE predict(digits, m) = 1"
TARGETS = {0.3: 0.95, 0.5: 0.95}


def count(scene: Scene, seed: int) -> list[Complaint]:
    """How many images really show a one."""
    return [scene.db.query(SQL).cell("n").should_be(int((scene.right == 1).sum()))]


def wrong(how: str, scene: Scene, seed: int) -> list[Complaint]:
    """A count that is not the true one: beyond it, half-way to it, or on the other side of the answer."""
    cell, true = scene.db.query(SQL).cell("n"), int((scene.right == 1).sum())
    answer = check(scene.db, cell.should_be(true))[0][1].relaxed
    up = answer < true
    said = {
        "overshoot": (1.2 if up else 0.8) * true,
        "partial": (answer + true) / 2,
        "wrong direction": (0.8 if up else 1.2) * answer,
    }
    return [cell.should_be(said[how])]


ONES = Experiment(
    "mnist_ones",
    "mnist",
    "MNIST: how many ones",
    "Fig. 11",
    "10,000 images to train on and 10,000 to query, a logistic regression of the pixels. A share of the ones to "
    f"train on says 7. One complaint: the number of predicted ones, `{SQL}`, should be the true one.",
    tuple(
        Case(f"mnist ones {share:.0%}", corruption(share), count, target=TARGETS.get(share))
        for share in (0.1, 0.3, 0.5, 0.7)
    ),
    notes="At 10% the database's own count is right already (about 1,127 of 1,125) and only the relaxed one (about "
    "1,010) is not: a user would see no error, and only the papers' protocol goes on. The *loss* finds more "
    "here than with the authors, because every fit is carried to its optimum: their released code stops after "
    "20 iterations of L-BFGS, and a fit that stops early has not yet told the wrong labels from the right "
    "ones. Of its settings, run again at 10%, 20 iterations give 0.250 and 200 give 0.325. TwoStep varies by "
    "what is drawn among as many repairs; its gradient goes through the same fits and the same damped solve, and "
    "at 50% and 70% it is above the authors' single runs, as Holistic is at 70%. The mean of 32 repairs drawn "
    "(`samples=32`), on three seeds beside one repair on the same: 0.616 for 0.516 at 30%, 0.169 for 0.230 at 10%.",
    slow=SLOW,
)

WRONG = Experiment(
    "mnist_wrong",
    "mnist",
    "MNIST: wrong complaints",
    "Fig. 10",
    "30% of the ones say 7, and the number that is asked for is not the true one: beyond it by a fifth "
    "(*overshoot*), the mean of the answer and the true one (*partial*), or a fifth on the other side of the "
    "answer (*wrong direction*). The answer is the relaxed one, as the protocol judges.",
    tuple(
        Case(f"mnist {how}", corruption(0.3), functools.partial(wrong, how))
        for how in ("overshoot", "partial", "wrong direction")
    ),
    notes="What a wrong number does is what the authors saw: a fifth too far costs nothing, half of the way is "
    "enough for most of the records, and the wrong way finds the right ones. TwoStep's figures of the "
    "authors are single runs; ours vary by a few hundredths to a tenth with the repair that is drawn. "
    "The mean of 32 repairs finds nothing in the wrong direction, where one repair on the same three seeds finds "
    "0.019.",
    slow=SLOW,
)
