"""Records that the user says are right stay as they are, and a run goes on with the others."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.errors import DebugError, ModelError
from rain_debug.rankers.rehearsal import rehearse

rain_ranker = sys.modules["rain_debug.rankers.rain"]


@pytest.fixture(scope="module")
def made() -> Any:
    rng = np.random.default_rng(7)
    x = rng.normal(size=200)
    label = np.where(x > 0, "yes", "no").astype(object)
    label[:40] = "no"
    past = {"id": np.arange(200) + 1000, "x": x, "label": label}
    db = rain.connect({"past": past, "now": {"id": np.arange(300), "x": rng.normal(size=300)}})
    db.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="label", features=["x"])
    query = db.query("SELECT count(*) AS n FROM now WHERE predict(m, now) = 'yes'")
    return db, query.cell("n").too_low()


def test_a_rehearsal_spares_them_too(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    db, complaint = made
    seen: list[np.ndarray] = []

    def noted(*given: Any) -> Any:
        found = rehearse(*given)
        seen.append(found.removed)
        return found

    monkeypatch.setattr(rain_ranker, "rehearse", noted)
    how: dict[str, Any] = {"budget": 12, "step": 4, "until": "budget", "ranker": "rain", "progress": False}
    db.debug(complaint, **how)
    first = set(np.concatenate(seen).tolist())
    seen.clear()
    spared = sorted(first)[:5]
    db.debug(complaint, spare=[position + 1000 for position in spared], **how)
    assert seen and not set(np.concatenate(seen).tolist()) & set(spared)


@pytest.mark.parametrize(
    ("ranker", "fix"),
    [("holistic", "delete"), ("holistic", "relabel"), ("rain", "delete"), ("loss", "delete"), ("random", "delete")],
)
def test_what_is_spared_is_never_fixed(made: Any, ranker: str, fix: Any) -> None:
    db, complaint = made
    how: dict[str, Any] = {"budget": 12, "step": 4, "until": "budget", "ranker": ranker, "fix": fix, "progress": False}
    free = [row["key"] for row in db.debug(complaint, **how).ranking]
    spared = free[:5]
    report = db.debug(complaint, spare={"m": spared}, **how)
    chosen = [row["key"] for row in report.ranking]
    assert len(chosen) == 12 and not set(chosen) & set(spared)
    assert report.settings.spare == {"m": tuple(spared)}
    assert report.to_dict()["settings"]["spare"] == {"m": spared}
    same = db.debug(complaint, spare=np.array(spared), **how)
    assert [row["key"] for row in same.ranking] == chosen, "one model needs no name"


def test_of_several_models_the_one_has_to_be_said(made: Any) -> None:
    db, complaint = made
    db.create_model("other", LogisticRegression(), "SELECT * FROM past", key="id", label="label", features=["x"])
    both = [complaint, db.query("SELECT count(*) AS n FROM now WHERE predict(other, now) = 'yes'").cell("n").too_low()]
    how: dict[str, Any] = {"budget": 6, "until": "budget", "progress": False}
    free = db.debug(both, **how)
    with pytest.raises(DebugError, match="not said whose records") as caught:
        db.debug(both, spare=[1000], **how)
    assert "m, other" in (caught.value.hint or "")
    alone = db.debug(complaint, spare={"other": [1000]}, **how)
    assert alone.ranking.column("key") == db.debug(complaint, **how).ranking.column("key")
    spared = {row["model"]: [r["key"] for r in free.ranking if r["model"] == row["model"]] for row in free.ranking}
    chosen = {(row["model"], row["key"]) for row in db.debug(both, spare=spared, **how).ranking}
    assert chosen and not chosen & {(model, key) for model, keys in spared.items() for key in keys}


def test_nothing_spared_changes_nothing(made: Any) -> None:
    db, complaint = made
    assert db.debug(complaint, budget=8, spare=[]).to_json() == db.debug(complaint, budget=8).to_json()


def test_when_all_that_help_are_spared_the_run_says_so(made: Any) -> None:
    db, complaint = made
    table = db.models["m"].records.table
    no = [k for k, label in zip(table["id"].to_list(), table["label"].to_list(), strict=True) if label == "no"]
    report = db.debug(complaint, budget=50, spare={"m": no})
    assert not len(report.ranking) and report.stopped == "no positive score"


@pytest.mark.parametrize(
    ("spare", "message", "hint"),
    [
        ({"m": [3]}, "there is no record 3 to spare", "a record is named by id, e.g. 1000"),
        ({"n": [1003]}, "there is no model 'n'", "m"),
        ("1003", "spare='1003' is not a list of keys", "give spare=[key, …] or spare={model: [key, …]}"),
        (1003, "spare=1003 is not a list of keys", "give spare=[key, …] or spare={model: [key, …]}"),
    ],
)
def test_what_cannot_be_spared(made: Any, spare: Any, message: str, hint: str) -> None:
    db, complaint = made
    with pytest.raises((DebugError, ModelError)) as caught:
        db.debug(complaint, budget=5, spare=spare)
    assert caught.value.message == message
    assert hint in (caught.value.hint or "")
