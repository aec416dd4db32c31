"""The shop tells its story: the line falls with the wrong labels, not without, and influence finds them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rain_debug.datasets import Shop, shop
from rain_debug.errors import DatasetError

SEEDS = (0, 1, 2)


def _matrix(shop_: Shop, name: str) -> np.ndarray:
    table = shop_.frames()[name]
    return np.column_stack([table[f].values for f in shop_.features]).astype(float)


def _fit(shop_: Shop, keep: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=2000).fit(_matrix(shop_, "churn_training")[keep], labels[keep])


def _line(shop_: Shop, model: LogisticRegression) -> dict[str, int]:
    """The answer of the shop's query, computed without the database."""
    users = shop_.users
    counted = users["active"].values & (model.predict(_matrix(shop_, "users")) == "yes")
    weeks = users["week"].values
    return {w: int(counted[weeks == w].sum()) for w in sorted(set(weeks))}


def _wrong(shop_: Shop) -> np.ndarray:
    return np.isin(shop_.churn_training["id"].values, shop_.truth)


@pytest.mark.parametrize("seed", SEEDS)
def test_line_falls_only_with_the_wrong_labels(seed: int) -> None:
    s = shop(seed)
    labels, wrong = s.churn_training["churned"].values, _wrong(s)
    everyone = np.ones(len(labels), dtype=bool)
    falls = _line(s, _fit(s, everyone, labels))
    right = _line(s, _fit(s, everyone, np.where(wrong, "yes", labels)))
    *before, second_last, last = falls.values()
    assert tuple(falls)[-2:] == s.fallen
    assert max(second_last, last) < 0.75 * np.mean(before)
    assert min(right[w] for w in s.fallen) > 0.9 * np.mean(before)
    assert np.allclose(list(right.values())[:-2], before, rtol=0.15, atol=8)


@pytest.mark.parametrize("seed", SEEDS)
def test_influence_finds_the_wrong_labels_and_loss_does_not(seed: int) -> None:
    s = shop(seed)
    x, yes = _matrix(s, "churn_training"), (s.churn_training["churned"].values == "yes").astype(int)
    queried = _matrix(s, "users")[s.users["active"].values & np.isin(s.users["week"].values, s.fallen)]
    wrong = _wrong(s)
    k = int(wrong.sum())
    assert 120 <= k <= 290
    keep, found, first_loss = np.ones(len(yes), dtype=bool), [], np.empty(0)
    design, rows = (np.column_stack([a, np.ones(len(a))]) for a in (x, queried))
    while len(found) < k:
        model = LogisticRegression(C=1.0, max_iter=2000).fit(x[keep], yes[keep])
        p, p_rows, n = model.predict_proba(x)[:, 1], model.predict_proba(queried)[:, 1], keep.sum()
        if not len(first_loss):
            first_loss = -np.log(np.where(yes == 1, p, 1 - p))
        hessian = (design[keep].T * (p * (1 - p))[keep]) @ design[keep] / n + np.diag([*[1 / n] * x.shape[1], 0])
        raise_count = rows.T @ (p_rows * (1 - p_rows))
        score = np.where(keep, (design @ np.linalg.solve(hessian, raise_count)) * (p - yes), -np.inf)
        chosen = np.argsort(-score, kind="stable")[:10]
        found.extend(chosen)
        keep[chosen] = False
    assert wrong[found[:k]].mean() >= 0.9
    assert wrong[np.argsort(-first_loss)[:k]].mean() < 0.2


def test_same_seed_same_shop_and_the_truth_is_in_no_table() -> None:
    a, b, c = shop(4), shop(4), shop(5)
    for name, table in a.frames().items():
        for column in table:
            assert table[column].values.tolist() == b.frames()[name][column].values.tolist()
            values = table[column].values
            if column not in ("id", "churned") and name == "churn_training":
                assert len(set(values[a.truth - 1].tolist()) & set(np.delete(values, a.truth - 1).tolist())) > 0
    assert a.truth.tolist() == b.truth.tolist() != c.truth.tolist()
    truth = np.isin(a.churn_training["id"].values, a.truth)
    assert set(a.churn_training["churned"].values[truth]) == {"no"}
    assert set(a.churn_training["plan"].values[truth]) == {"basic"}
    genuine = (a.churn_training["source"].values == "import-17") & (a.churn_training["plan"].values == "basic") & ~truth
    assert genuine.sum() > 50, "the pattern alone must not be the truth"


def test_write_makes_a_database_and_never_writes_over_one(tmp_path: Path) -> None:
    s = shop()
    path = s.write(tmp_path / "shop.duckdb")
    with duckdb.connect(str(path), read_only=True) as con:
        types = {n: t for n, t, *_ in con.execute("DESCRIBE users").fetchall()}
        assert types["week"] == types["plan"] == "VARCHAR" and types["active"] == "BOOLEAN" and types["id"] == "BIGINT"
        assert con.execute("SELECT count(*), count(DISTINCT id) FROM users").fetchone() == (4800, 4800)
        assert con.execute("SELECT count(*) FROM churn_training").fetchone() == (s.churn_training.n_rows,)
        assert con.execute("SELECT churned FROM churn_training ORDER BY id LIMIT 3").fetchall() == [
            (v,) for v in s.churn_training["churned"].values[:3]
        ]
    before = path.read_bytes()
    with pytest.raises(DatasetError, match="overwrite=True"):
        shop(1).write(path)
    assert path.read_bytes() == before
    shop(1).write(path, overwrite=True)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["shop.duckdb"]
    with pytest.raises(DatasetError, match="does not exist"):
        s.write(tmp_path / "nowhere" / "shop.duckdb")


def test_a_shop_too_small_for_its_story_is_refused() -> None:
    with pytest.raises(DatasetError, match="too small"):
        shop(records=10)
