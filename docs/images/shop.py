"""Draws `shop.svg` from the real demo: `python docs/images/shop.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

WIDTH, HEIGHT = 760, 330
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 64, 44
INK, MUTED, GRID, BEFORE, AFTER = "#1f2933", "#616e7c", "#e4e7eb", "#c2410c", "#1d4ed8"


def main() -> None:
    words = [sys.executable, "-m", "rain_debug", "demo", "--json", "--quiet"]
    report = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    Path(__file__).with_suffix(".svg").write_text(picture(report), encoding="utf-8")


def picture(report: dict[str, object]) -> str:
    """The weekly line before and after, as SVG without script, font or link."""
    rows = report["before_after"]
    assert isinstance(rows, list)
    weeks = [row["week"] for row in rows]
    before, after = ([row[f"n {when}"] for row in rows] for when in ("before", "after"))
    top = 20 * (max(before + after) // 20 + 1)

    def x(i: int) -> float:
        return LEFT + i * (WIDTH - LEFT - RIGHT) / (len(weeks) - 1)

    def y(v: float) -> float:
        return HEIGHT - BOTTOM - v / top * (HEIGHT - TOP - BOTTOM)

    def line(values: list[float], colour: str, extra: str) -> str:
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(values))
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5" {extra}/>'

    gone = report["models"][0]["removed"]  # type: ignore[index]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">',
        "<title>Active users predicted to leave, week by week, before and after</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="26" font-size="15" font-weight="600" fill="{INK}">Active users predicted to leave</text>',
        f'<text x="{LEFT}" y="46" fill="{BEFORE}">● as the query answered</text>',
        f'<text x="{LEFT + 170}" y="46" fill="{AFTER}">● without the {gone} training records that Rain found</text>',
    ]
    for v in range(0, top + 1, 20):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(v) + 4:.1f}" text-anchor="end" fill="{MUTED}">{v}</text>')
    for i in range(len(weeks) - 1, -1, -2):
        anchor = "end" if i == len(weeks) - 1 else "middle"
        at = WIDTH - RIGHT + 10 if anchor == "end" else x(i)
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - 20}" text-anchor="{anchor}" fill="{MUTED}">{weeks[i]}</text>')
    parts += [line(before, BEFORE, 'stroke-dasharray="6 4"'), line(after, AFTER, 'stroke-linejoin="round"')]
    for values, colour in ((before, BEFORE), (after, AFTER)):
        for i in range(len(weeks) - 2, len(weeks)):
            up = -10 if colour == AFTER else 18
            parts.append(f'<circle cx="{x(i):.1f}" cy="{y(values[i]):.1f}" r="4" fill="{colour}"/>')
            parts.append(
                f'<text x="{x(i):.1f}" y="{y(values[i]) + up:.1f}" text-anchor="middle" font-weight="600" '
                f'fill="{colour}">{values[i]}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    main()
