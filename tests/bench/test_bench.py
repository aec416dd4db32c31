"""`rain bench`: cases run and are kept, a second run skips them, Ctrl-C loses nothing; tables, figures, the page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rain_debug.bench import (
    EXPERIMENTS,
    Case,
    Corruption,
    Experiment,
    Job,
    Result,
    Scene,
    Store,
    figures,
    jobs,
    page,
    pending,
    protocol,
    run,
)
from rain_debug.bench.authors import cases as published_cases
from rain_debug.bench.summary import comparisons, rows
from rain_debug.complaints import Complaint
from rain_debug.database import connect
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, ReportError

PREPARED: list[int] = []


def prepare(share: float, seed: int) -> Scene:
    """Two overlapping clouds; a share of the records of the right one says 'left'."""
    PREPARED.append(seed)
    rng = np.random.default_rng(seed)
    side = np.arange(120) % 2
    x, y = rng.normal(2.0 * side, 1.0), rng.normal(size=120)
    wrong = rng.choice(np.flatnonzero(side[:60]), size=int(share * 30), replace=False)
    said = np.where(side == 1, "right", "left")
    given = said[:60].copy()
    given[wrong] = "left"
    training = Table.of(id=np.arange(60), x=x[:60], y=y[:60], side=given.tolist())
    queried = Table.of(id=np.arange(60), x=x[60:], y=y[60:])
    db = connect({"points": queried, "training": training})
    db.create_model("m", LogisticRegression(), training="SELECT * FROM training", key="id", label="side")
    return Scene(db, np.sort(wrong), said[60:], queried)


def count(scene: Scene, seed: int) -> list[Complaint]:
    query = scene.db.query("SELECT count(*) AS n FROM points p WHERE predict(m, p) = 'right'")
    return [query.cell("n").should_be(int((scene.right == "right").sum()))]


def label(number: int, scene: Scene, seed: int) -> list[Complaint]:
    return [scene.db.prediction("m", i, table="points").should_be(scene.right[i]) for i in range(number)]


CLOUD = Corruption("cloud 40%", prepare, (0.4,))
COUNT = Case("cloud count", CLOUD, count, target=2.0)
POINTS = Experiment(
    "points", "cloud", "Points", "no figure", "About points.", (COUNT, replace(COUNT, name="cloud again"))
)
LABELS = Experiment(
    "labels",
    "cloud",
    "Labels",
    "no figure",
    "About labels.",
    (
        COUNT,
        *(Case(f"cloud {n} labels", CLOUD, lambda s, seed, n=n: label(n, s, seed), at=("any", n)) for n in (2, 50)),
    ),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    assert run(jobs([POINTS, LABELS], ["holistic", "loss", "random"], 2), folder) == []
    return folder


def test_a_run_is_measured_against_the_truth(results: Path) -> None:
    found = {(r.case, r.ranker, r.seed): r for r in Store(results, "cloud")}
    best = found["cloud count", "holistic", 0]
    assert best.wrong == 12 and best.rounds == 3 and best.stopped == "budget"
    assert best.auccr > found["cloud 40%", "random", 0].auccr + 0.3
    assert best.curve[-1] == pytest.approx(best.recall, abs=1e-4)


def test_rankers_that_see_no_complaint_run_once_a_corruption(results: Path) -> None:
    store = Store(results, "cloud")
    assert sum(r.ranker == "loss" for r in store) == 2  # seeds
    assert sum(r.ranker == "holistic" for r in store) == 2 * 4  # count, again, 2 labels, 50 labels
    table = {(r.case, r.ranker): r.auccr for r in rows([POINTS, LABELS], results)}
    assert table["cloud count", "loss"] == table["cloud again", "loss"]
    assert ("cloud 50 labels", "loss") not in table and ("cloud 50 labels", "holistic") in table


def test_what_is_stored_is_not_run_again(results: Path) -> None:
    work = jobs([POINTS], ["holistic"], 3)
    assert [(j.case.name, j.seed) for j in pending(work, results)] == [("cloud count", 2), ("cloud again", 2)]


def test_scenes_are_shared_by_all_that_runs_on_them(tmp_path: Path) -> None:
    PREPARED.clear()
    run(jobs([POINTS], ["holistic", "random"], 2), tmp_path)
    assert PREPARED == [0, 1]


def test_interrupted_work_goes_on_where_it_stopped(tmp_path: Path) -> None:
    class Impatient:
        def started(self, job: Job) -> None: ...
        def finished(self, job: Job) -> None: ...
        def went_on(self, job: Job, done: Any) -> None:
            if job.case.name == "cloud again":
                raise KeyboardInterrupt

    work = jobs([POINTS], ["holistic"], 1)
    with pytest.raises(KeyboardInterrupt):
        run(work, tmp_path, watch=Impatient())
    assert [r.case for r in Store(tmp_path, "cloud")] == ["cloud count"]
    assert run(pending(work, tmp_path), tmp_path) == []
    assert len(Store(tmp_path, "cloud")) == 2


def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    far = replace(COUNT, name="cloud far", settings={"step": 0})
    failed = run(jobs([replace(POINTS, cases=(far, COUNT))], ["holistic"], 2), tmp_path)
    assert len(failed) == 1 and failed[0].startswith("cloud far, holistic, seed 0 and 1 more: step=0")
    assert len(Store(tmp_path, "cloud")) == 2


def test_unknown_rankers_are_named() -> None:
    with pytest.raises(DebugError, match="there is no ranker 'holistc'"):
        jobs([POINTS], ["holistc"])


def test_slow_rankers_run_where_they_are_asked_for() -> None:
    slow = replace(POINTS, slow=frozenset({"random"}))
    assert "random" not in {j.ranker for j in jobs([slow])}
    assert {j.ranker for j in jobs([slow], ["random"])} == {"random"}


RESULT = Result("a", "loss", 0, None, 3, 0.5, 0.5, 1, "budget", 0.1, dict.fromkeys(protocol.PHASES, 0.0), [0.5] * 20)


def test_a_store_keeps_the_last_of_a_kind_and_what_others_add(tmp_path: Path) -> None:
    one, other = Store(tmp_path, "f"), Store(tmp_path, "f")
    one.put(RESULT)
    other.put(replace(RESULT, seed=1))
    one.put(replace(RESULT, auccr=0.7))
    assert [(r.seed, r.auccr) for r in Store(tmp_path, "f")] == [(1, 0.5), (0, 0.7)]


def test_a_line_cut_off_is_not_read_and_not_in_the_way(tmp_path: Path) -> None:
    Store(tmp_path, "f").put(RESULT)
    with (tmp_path / "f.jsonl").open("a") as file:
        file.write('{"case": "b", "ran')
    store = Store(tmp_path, "f")
    assert len(store) == 1
    store.put(replace(RESULT, seed=1))
    assert len(Store(tmp_path, "f")) == 2


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(ReportError, match="not a result") as error:
        Store(tmp_path, "f")
    assert error.value.where is not None and error.value.where.endswith("f.jsonl, line 1")


def test_comparisons_close_part_of_the_way(tmp_path: Path) -> None:
    store = Store(tmp_path, "cloud")
    for ranker, scores in {"holistic": (0.6, 0.8), "rain": (0.8, 1.0, 0.0)}.items():
        for seed, auccr in enumerate(scores):  # the third seed has no counterpart
            store.put(replace(RESULT, case="cloud count", ranker=ranker, seed=seed, auccr=auccr, wrong=10))
    (found,) = comparisons(rows([POINTS], tmp_path))
    assert (found.mean, found.holistic, found.best) == pytest.approx((0.9, 0.7, 1.1))
    assert found.closed == pytest.approx(0.5) and found.loss == pytest.approx(-0.2)
    assert (found.cases, found.worst) == (1, "cloud count")


def test_an_experiment_of_many_cases_counts_as_one(tmp_path: Path) -> None:
    store = Store(tmp_path, "cloud")
    for case in ("cloud count", "cloud again", "cloud 2 labels"):
        for ranker, auccr in {"holistic": 0.5, "rain": 0.9 if "labels" in case else 0.4}.items():
            store.put(replace(RESULT, case=case, ranker=ranker, auccr=auccr))
    alone = replace(LABELS, cases=LABELS.cases[1:])
    (found,) = comparisons(rows([POINTS, alone], tmp_path))
    assert (found.cases, found.mean) == (3, pytest.approx((0.4 + 0.9) / 2))
    assert found.worst in ("cloud count", "cloud again") and found.loss == pytest.approx(0.1)


def test_every_published_figure_has_its_case() -> None:
    ours = {c.name for e in EXPERIMENTS.values() for c in e.cases}
    assert set(published_cases()) <= ours


@pytest.mark.parametrize("experiment", [POINTS, LABELS], ids=lambda e: e.name)
def test_figures_are_self_contained_and_repeat(experiment: Experiment, results: Path, tmp_path: Path) -> None:
    found = rows([experiment], results)
    first, again = (figures.draw(experiment, found, tmp_path / f"{n}.svg").read_bytes() for n in "ab")
    assert first == again
    root = ET.fromstring(first)
    links = [v for e in root.iter() for k, v in e.attrib.items() if k.endswith("href")]
    assert all(link.startswith("#") for link in links)
    text = " ".join(e.text or "" for e in root.iter() if e.tag.endswith("}text"))
    assert "holistic" in text and "AUCCR" in text


def test_the_page_shows_every_experiment(results: Path, tmp_path: Path) -> None:
    path = page.write(tmp_path / "docs" / "evaluation.md", [POINTS, LABELS], rows([POINTS, LABELS], results))
    text = path.read_text(encoding="utf-8")
    assert text.index("## Labels") < text.index("## Points") < text.index("## Beside Holistic")
    assert "labels of images any" in text and "K = 12" in text
    for name in ("points", "labels"):
        assert (tmp_path / "docs" / "images" / f"evaluation-{name}.svg").exists()


def test_auto_is_judged_by_the_better_of_its_two(tmp_path: Path) -> None:
    store = Store(tmp_path, "cloud")
    for ranker, scores in {"holistic": (0.6, 0.8), "two_step": (0.9, 0.1), "auto": (0.9, 0.1)}.items():
        for seed, auccr in enumerate(scores):
            store.put(replace(RESULT, case="cloud count", ranker=ranker, seed=seed, auccr=auccr))
    text = page.write(tmp_path / "e.md", [POINTS], rows([POINTS], tmp_path)).read_text(encoding="utf-8")
    assert "In 1 of 2 runs it was as good" in text and "| cloud count | 2 | 1 | 0.350 |" in text


def test_results_are_small_lines_of_json(results: Path) -> None:
    for line in (results / "cloud.jsonl").read_text().splitlines():
        assert json.loads(line)["case"].startswith("cloud") and len(line) < 600
