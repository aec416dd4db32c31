"""A stand-in for the desk after a run: fixed values for every screen, records that are paged, searched and kept.

PYTHONPATH=tests python -m ui.run_host          # then open the address that it prints, /runs/r7
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from ui import run_data as shop
from ui.host import Host, Refused

HEAD = ("id", "at", "state", "sentence", "complaints", "removed", "met", "seconds")


class Finished:
    """One finished run and those made from it; `answers` and `streams` are what a `Host` takes."""

    def __init__(self, view: dict[str, Any] | None = None, records: list[dict[str, Any]] | None = None) -> None:
        first = shop.run() if view is None else view
        self.runs: dict[str, Any] = {first["id"]: first}
        self.records = shop.records() if records is None else records
        self.rounds, self.pause = 3, 0.02
        self.broken = ""
        self.cancelled = threading.Event()

    def project(self, _: Any) -> Any:
        return {"title": "Shop", "version": "0.1.0", "queries": [{"name": "weekly", "sql": shop.SQL, "own": True}],
                "models": [{"name": "churn", "records": 2600, "label": "churned", "key": "id", "classes": ["no", "yes"],
                            "features": ["tenure"]}],
                "tables": [], "complaints": [], "defaults": shop.SETTINGS, "rankers": ["auto"],
                "runs": len(self.runs)}  # fmt: skip

    def run(self, request: Any) -> Any:
        if request["id"] not in self.runs:
            raise Refused("DeskError", f"there is no run '{request['id']}'", hint="look at the list of runs")
        return {**self.runs[request["id"]], "kept": self.kept}

    def list_of_runs(self, request: Any) -> Any:
        heads = [{name: run[name] for name in HEAD} for run in reversed(self.runs.values())]
        return {"runs": heads[request["offset"] :][: request["limit"]], "total": len(heads)}

    @property
    def kept(self) -> int:
        return sum(row["kept"] for row in self.records)

    def matching(self, asked: Any) -> list[dict[str, Any]]:
        found = self.records
        if text := asked.get("text", "").lower():
            found = [
                r for r in found if any(text in str(v).lower() for v in (r["key"], r["label"], r["fix"], *r["values"]))
            ]
        if asked.get("pattern") is not None:
            found = [r for r in found if r["values"][0] == "import-17"]
        if asked.get("kept") is not None:
            found = [r for r in found if r["kept"] == asked["kept"]]
        return found

    def page(self, asked: Any) -> Any:
        found = self.matching(asked)
        if name := asked.get("sort"):
            names = [c["name"] for c in shop.COLUMNS]
            value = (lambda r: r["values"][names.index(name)]) if name in names else (lambda r: r[name])
            found = sorted(found, key=value, reverse=bool(asked.get("down")))
        rows = found[asked["offset"] :][: asked["limit"]]
        return {
            "columns": shop.COLUMNS,
            "rows": rows,
            "offset": asked["offset"],
            "total": len(found),
            "kept": self.kept,
        }

    def keep(self, asked: Any) -> Any:
        keys = asked.get("keys")
        named = None if keys is None else {(k["model"], k["key"]) for k in keys}
        chosen = self.matching(asked) if named is None else [r for r in self.records if (r["model"], r["key"]) in named]
        for row in chosen:
            row["kept"] = asked["keep"]
        return {"kept": self.kept, "marked": len(chosen)}

    def export(self, asked: Any) -> Any:
        text = f"{asked['format']} for {asked['table']}" if asked["table"] else asked["format"]
        return {"name": f"run-r7.{asked['format']}", "mime": "text/plain", "text": text}

    def gone(self, _: Any) -> Any:
        raise Refused("ReportError", "no prefix is known to resolve the complaints", hint="debug with a larger budget")

    def go_on(self, request: Any) -> Iterator[Any]:
        """A run like the one before, told round by round."""
        last = list(self.runs.values())[-1]
        made = {**last, "id": f"r{7 + len(self.runs)}", "sentence": "Removing 200 of 2,600 training records helps too."}
        made["request"] = {**last["request"], "keep_of": request.get("keep_of")}
        yield {"type": "started", "id": made["id"], "budget": 300}
        for number in range(1, self.rounds + 1):
            time.sleep(self.pause)
            yield {"type": "waiting", "seconds": number * self.pause, "doing": "training churn"}
            yield {"type": "round", "number": number, "removed": 10 * number, "budget": 300,
                   "seconds": number * self.pause, "standings": last["standings"]}  # fmt: skip
        if self.broken:
            yield {"type": "failed", "failure": Refused("DebugError", self.broken).failure}
            return
        self.runs[made["id"]] = made
        yield {"type": "done", "run": made}

    def host(self) -> Host:
        answers = {
            "project": self.project, "run": self.run, "runs": self.list_of_runs, "records": self.page,
            "keep": self.keep, "export": self.export, "record": lambda _: shop.RECORD,
            "side_effects": lambda _: shop.EFFECTS, "prefix": self.gone, "forecasts": lambda _: shop.EFFECTS,
            "query": lambda _: shop.query(), "rows_behind": lambda _: shop.RECORD["rows"],
            "place": lambda _: {"text": "n", "value": 48, "says": "value", "classes": [], "whole": True},
            "describe": lambda _: {"text": "n should be at least 90", "holds": False},
        }  # fmt: skip
        return Host(answers, {"debug": self.go_on, "fix_pattern": self.go_on})


if __name__ == "__main__":
    print(Finished().host().url, flush=True)
    threading.Event().wait()
