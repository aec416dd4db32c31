"""Adult, Q6 and Q7: average predicted income of men, and of people in their forties."""

from __future__ import annotations

import functools
from collections.abc import Callable

from sklearn.linear_model import LogisticRegression

from rain_debug.bench.case import Case, Corruption, Experiment, Scene
from rain_debug.complaints import Complaint
from rain_debug.database import connect
from rain_debug.datasets import Adult, adult

GENDER = "SELECT gender, avg(predict(income, a)) AS high FROM adult a GROUP BY gender ORDER BY gender"
AGE = "SELECT agedecade, avg(predict(income, a)) AS high FROM adult a GROUP BY agedecade ORDER BY agedecade"
BEST = {0.3: 0.484, 0.5: 0.593}
"""What the best order of the 118 different feature rows reaches, mean of 20 seeds."""

TARGETS = {(0.3, "both"): 0.41, (0.5, "both"): 0.46}


def prepare(share: float, seed: int) -> Scene:
    """Poor men in their forties who are said to be rich."""
    made = _data().corrupted(share, seed)
    db = connect(made.frames())
    db.create_model(
        "income",
        LogisticRegression(C=1.0),
        training="SELECT * FROM adult_training",
        key="id",
        label=made.label,
        features=list(made.features),
    )
    return Scene(db, made.truth, made.right, made.queried)


@functools.cache
def _data() -> Adult:
    return adult()


def gender(scene: Scene, seed: int) -> list[Complaint]:
    """The average of men, as it really is."""
    men = scene.rows["gender"].values == "Male"
    return [scene.db.query(GENDER).cell("high", gender="Male").should_be(float(scene.right[men].mean()))]


def age(scene: Scene, seed: int) -> list[Complaint]:
    """The average of people in their forties, as it really is."""
    forties = scene.rows["agedecade"].values == 40
    return [scene.db.query(AGE).cell("high", agedecade=40).should_be(float(scene.right[forties].mean()))]


def both(scene: Scene, seed: int) -> list[Complaint]:
    return gender(scene, seed) + age(scene, seed)


COMPLAINTS: dict[str, Callable[[Scene, int], list[Complaint]]] = {"gender": gender, "age": age, "both": both}

EXPERIMENTS = (
    Experiment(
        "adult",
        "adult",
        "Adult: two queries, one model",
        "Fig. 8",
        "6,512 census records to train on, 26,049 rows to query, 18 binary features. A share of the poor men in their "
        "forties is said to be rich. Two complaints, each alone and both together: the average prediction of men "
        f"(`{GENDER}`) and of people in their forties (`{AGE}`) should be the true average.",
        tuple(
            Case(
                f"adult {share:.0%} {which}",
                Corruption(f"adult {share:.0%}", prepare, (share,)),
                complain,
                best=BEST[share],
                target=TARGETS.get((share, which)),
            )
            for share in (0.3, 0.5)
            for which, complain in COMPLAINTS.items()
        ),
        notes="Only 118 of the 6,512 feature rows differ, so a wrong record cannot be told from a right one with "
        "the same features and label: no order of the records passes 0.484 at 30% and 0.593 at 50% (mean of 20 "
        "seeds). Whole groups of equal records move together, so the authors' single run and ours differ by more "
        "than the seeds do. TwoStep repairs predictions within the group complained about; 71% of the people in "
        "their forties are men, so its repairs there share the features of the wrong records. The authors report "
        "0 for it; how they encoded an average is not published.",
    ),
)
