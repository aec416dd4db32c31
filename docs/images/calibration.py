"""Draws `calibration.svg`, what was foreseen of a fix over what came of it: `python docs/images/calibration.py`.

On the shop, DBLP, Adult and Enron (data sets from $RAIN_DATA), for the prefixes of a ranking up to 5% of the training
set. Prints the largest errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug import connect
from rain_debug.bench import adult, dblp, enron
from rain_debug.datasets import shop
from rain_debug.report import Grid

SIDE, EDGE, TOP = 380, 56, 84
INK, MUTED, LINE = "#1f2933", "#616e7c", "#e4e7eb"
KINDS = {"sum of influences": "#9aa5b1", "one step": "#c2410c", "two steps": "#1d4ed8"}
MARKS = {"shop": "circle", "DBLP": "square", "Adult": "diamond", "Enron": "triangle"}
SHARE, ROUNDS = 0.05, 10


def forecasts() -> Iterator[tuple[str, Grid]]:
    """Each set's forecasts, a row a prefix and a complaint."""
    made = shop()
    db = connect(made.frames())
    db.create_model("churn", make_pipeline(StandardScaler(), LogisticRegression()),
                    training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(made.features))  # fmt: skip
    weekly = db.query(made.query)
    yield "shop", run(db, [weekly.cell("n", week=w).too_low() for w in made.fallen])
    for name, cases in (("DBLP", dblp.EXPERIMENTS[0].cases), ("Adult", adult.EXPERIMENTS[0].cases),
                        ("Enron", enron.EXPERIMENTS[0].cases)):  # fmt: skip
        for case in cases[:2]:
            scene = case.corruption.scene(0)
            yield name, run(scene.db, case.complain(scene, 0), judge="relaxed")


def run(db: Any, complaints: list[Any], **how: Any) -> Grid:
    n = sum(db.trained(name).records.n_records for name in db.models)
    step = max(1, int(SHARE * n / ROUNDS))
    report = db.debug(complaints, budget=ROUNDS * step, step=step, until="budget", progress=False, **how)
    return report.forecasts()


def main() -> None:
    marks, worst = [], {}
    for name, grid in forecasts():
        most = max(abs(row["verified"]) for row in grid)
        for row in grid:
            for kind, colour in KINDS.items():
                error = abs(row[kind] / row["verified"] - 1)
                worst[name, kind] = max(worst.get((name, kind), 0.0), error)
                sign = 1 if row["verified"] > 0 else -1
                marks.append(mark(MARKS[name], sign * row["verified"] / most, sign * row[kind] / most, colour))
    for (name, kind), error in worst.items():
        print(f"{name:6} {kind:18} at most {error:.1%} off")
    Path(__file__).with_suffix(".svg").write_text(picture(marks), encoding="utf-8")


def at(x: float, y: float) -> tuple[float, float]:
    return EDGE + x * SIDE, TOP + (1.2 - min(max(y, -0.05), 1.2)) * SIDE / 1.2


def mark(shape: str, x: float, y: float, colour: str) -> str:
    a, b = at(x, y)
    how = f'fill="none" stroke="{colour}" stroke-width="1.4"'
    if shape == "circle":
        return f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4" {how}/>'
    if shape == "square":
        return f'<rect x="{a - 3.5:.1f}" y="{b - 3.5:.1f}" width="7" height="7" {how}/>'
    corners = {"diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)), "triangle": ((0, -5), (5, 4), (-5, 4))}[shape]
    return f'<polygon points="{" ".join(f"{a + u:.1f},{b + v:.1f}" for u, v in corners)}" {how}/>'


def picture(marks: list[str]) -> str:
    """A square of marks about its diagonal, as SVG without script, font or link."""
    wide, high = EDGE + SIDE + 150, TOP + SIDE + 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>What was foreseen of the first records of a ranking, over what retraining showed</title>",
        f'<rect width="{wide}" height="{high}" rx="8" fill="#ffffff"/>',
        f'<text x="{EDGE}" y="26" font-size="15" font-weight="600" fill="{INK}">Foreseen and verified</text>',
        f'<text x="{EDGE}" y="46" fill="{MUTED}">change of the complained cells by the first 0.5% to 5% of the '
        "records,</text>",
        f'<text x="{EDGE}" y="62" fill="{MUTED}">as a share of each set\'s largest</text>',
    ]
    for v in (0.0, 0.25, 0.5, 0.75, 1.0):
        (x, y), (left, _), (right, _) = at(v, v), at(0, v), at(1, v)
        parts.append(f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{LINE}"/>')
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end" fill="{MUTED}">{v:g}</text>')
        bottom = at(0, 0)[1] + 18
        parts.append(f'<text x="{x:.1f}" y="{bottom:.1f}" text-anchor="middle" fill="{MUTED}">{v:g}</text>')
    (a, b), (c, d) = at(0, 0), at(1, 1)
    parts.append(f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}" stroke="{MUTED}" stroke-dasharray="5 4"/>')
    parts += marks
    parts.append(f'<text x="{EDGE + SIDE / 2}" y="{high - 12}" text-anchor="middle" fill="{MUTED}">verified</text>')
    for i, (kind, colour) in enumerate(KINDS.items()):
        parts.append(f'<text x="{EDGE + SIDE + 16}" y="{TOP + 80 + 20 * i}" fill="{colour}">● {kind}</text>')
    for i, (name, shape) in enumerate(MARKS.items()):
        y = TOP + 170 + 20 * i
        parts.append(f'<g transform="translate({EDGE + SIDE + 21 - at(0, 0)[0]:.1f},{y - 4 - at(0, 0)[1]:.1f})">')
        parts.append(mark(shape, 0, 0, MUTED) + "</g>")
        parts.append(f'<text x="{EDGE + SIDE + 32}" y="{y}" fill="{MUTED}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
