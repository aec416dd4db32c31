/** A table all of whose rows are here: a page of them is drawn, in a saved report every one. */

import { useState } from "preact/hooks";

import { Link, useHost, useProject } from "../context";
import { count, number, text } from "../format";
import { recordRoute } from "../routes";
import { PAGE, Table, valueColumns, type TableColumn } from "../Table";
import type { Rows, Value } from "../types";

export function Whole<R>(props: {
  caption: string;
  titled?: boolean;
  columns: TableColumn<R>[];
  rows: R[];
  rowClass?(row: R, index: number): string | undefined;
  empty?: string;
}) {
  const [at, setAt] = useState(0);
  const every = useHost().mode === "report";
  const offset = every ? 0 : Math.min(at, Math.max(0, Math.floor((props.rows.length - 1) / PAGE) * PAGE));
  return (
    <Table
      {...props} rows={every ? props.rows : props.rows.slice(offset, offset + PAGE)}
      offset={offset} total={props.rows.length} onPage={setAt}
    />
  );
}

/** Rows as the host sent them, which may be the first of more; with `model`, a column of keys leads to its records. */
export function SentRows({ title, rows, model }: { title: string; rows: Rows; model?: string }) {
  const keys = new Set(["key", ...(useProject()?.models.map((each) => each.key) ?? [])]);
  const columns = valueColumns(rows.columns).map((column) => {
    if (!keys.has(column.name)) return column;
    const draw = (row: Value[]) => <Link to={recordRoute(model!, column.value(row))}>{text(column.value(row), "text")}</Link>;
    return { ...column, kind: "text" as const, ...(model && column.name === "key" && { draw }) };
  });
  return (
    <>
      <Whole caption={title} titled columns={columns} rows={rows.rows} />
      {rows.total > rows.rows.length && <p class="quiet">The first {count(rows.rows.length, "row")} of {number(rows.total)}.</p>}
    </>
  );
}
