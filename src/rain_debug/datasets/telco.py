"""IBM's sample of telecommunication customers, fictional: realistic rather than real. Apache-2.0."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from rain_debug.datasets import catalogue
from rain_debug.datasets.store import read
from rain_debug.engines.table import Table, column

_WHOLE = frozenset({"SeniorCitizen", "tenure"})
_REAL = frozenset({"MonthlyCharges", "TotalCharges"})


@dataclass(frozen=True)
class TelcoChurn:
    """7,043 customers under the file's own column names; `Churn` is 'Yes' or 'No', a blank TotalCharges is NULL."""

    customers: Table

    def frames(self) -> dict[str, Table]:
        """The one table, `customers`."""
        return {"customers": self.customers}


def telco_churn(*, download: bool = True) -> TelcoChurn:
    """The customers from $RAIN_DATA/telco_churn, the cache, or IBM's repository; DatasetError where none has them."""
    data = read("telco_churn", catalogue.TELCO, download=download)
    header, *rows = csv.reader(data.decode("utf-8").splitlines())
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    parsed: dict[str, list[str | int | float | None]] = {}
    for name, values in columns.items():
        if name in _WHOLE:
            parsed[name] = [int(v) for v in values]
        elif name in _REAL:
            parsed[name] = [float(v) if v.strip() else None for v in values]
        else:
            parsed[name] = list(values)
    return TelcoChurn(Table({name: column(values) for name, values in parsed.items()}))
