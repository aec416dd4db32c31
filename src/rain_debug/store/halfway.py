"""What is known of a run that never came to its end: it died, or another process is still at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rain_debug.view.values import thinned


def halfway(begun: Mapping[str, Any], rounds: Sequence[Mapping[str, Any]], records: int) -> dict[str, Any]:
    """The `RunView` of as far as it came: the rounds that were written, and where the last one left the complaints.

    >>> last = {"number": 2, "removed": 10, "standings": [{"text": "n should be 9", "after": 7, "met": False}]}
    >>> found = halfway({"removed": 0}, [last], 20)
    >>> found["sentence"]
    'Interrupted after 2 rounds and 10 removed records: n should be 9, and it is 7.'
    >>> found["removed"], found["records"], found["rounds"]
    (10, 20, [{'number': 2, 'removed': 10}])
    """
    found = {**begun, "state": "interrupted", "stopped": "interrupted", "records": records}
    if not rounds:
        return {**found, "sentence": "Interrupted before the first round."}
    last = rounds[-1]
    rounds_done = f"{last['number']} round{'' if last['number'] == 1 else 's'}"
    there = "; ".join(f"{s['text']}, and it is {s['after']}" for s in last["standings"][:3])
    return {
        **found,
        "sentence": f"Interrupted after {rounds_done} and {last['removed']:,} removed records: {there}.",
        "removed": last["removed"],
        "met": all(s["met"] for s in last["standings"]),
        "seconds": last.get("seconds", 0.0),
        "standings": last["standings"],
        "rounds": [{k: v for k, v in r.items() if k not in ("standings", "seconds")} for r in thinned(rounds)],
    }
