/** A table all of whose rows are here: a page of them is drawn, in a saved report every one. */

import { useState } from "preact/hooks";

import { useHost } from "../context";
import { count } from "../format";
import { PAGE, Table, valueColumns, type TableColumn } from "../Table";
import type { Rows } from "../types";

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

/** Rows as the host sent them, which may be the first of more. */
export function SentRows({ title, rows }: { title: string; rows: Rows }) {
  return (
    <>
      <Whole caption={title} titled columns={valueColumns(rows.columns)} rows={rows.rows} />
      {rows.total > rows.rows.length && <p class="quiet">The first {count(rows.rows.length, "row")} of {rows.total.toLocaleString("en")}.</p>}
    </>
  );
}
