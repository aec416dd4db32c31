/** The complained answers before and after: a picture, and the same as a table. */

import { useMemo, useRef, useState } from "preact/hooks";

import { Chart, type Layer, type Mark } from "../Chart";
import { Link, useHost, useProject } from "../context";
import { count, number, text } from "../format";
import { useKeys } from "../keys";
import { Behind, type What } from "../query/Behind";
import type { TableColumn } from "../Table";
import type { Change, Place, Value } from "../types";
import { Whole } from "./Whole";

export function Changed({ change }: { change: Change }) {
  const report = useHost().mode === "report";
  const layers = useMemo<Layer[]>(
    () => [{ name: "before", rows: change.before }, { name: "after", rows: change.after }], [change],
  );
  const drawn = change.chart.type !== "table" && change.before.length > 1;
  const name = change.query || "the query";
  const box = useRef<HTMLElement>(null);
  const known = useProject()?.queries.some((each) => each.name === change.query);
  const [mark, setMark] = useState<Mark | null>(null);
  const [what, setWhat] = useState<What>("rows");
  const close = () => {
    box.current?.querySelector<HTMLElement>(".chart [data-at].chosen")?.focus();
    setMark(null);
  };
  useKeys("Everywhere", mark ? { close } : {});
  return (
    <section class="card changed" ref={box} aria-label={`${name}, before and after`}>
      <h2>
        {report || !change.query ? name : <Link to={{ screen: "query", name: change.query }}>{change.query}</Link>}
        {" "}before and after
      </h2>
      <p class="quiet">{changedWords(change)}</p>
      {drawn && (
        <Chart
          chart={change.chart} columns={change.columns} layers={layers} marked={change.marked}
          label={`${name} before and after; what was complained about is marked`}
          onMark={known ? setMark : undefined} chosen={mark}
        />
      )}
      {known && drawn && !mark && <p class="quiet note">Pick a point for the rows and the training records behind it.</p>}
      {mark && <Behind place={placeOf(change, mark)} what={what} show={setWhat} close={close} />}
      <details open={!drawn}>
        <summary>As a table</summary>
        <Twin change={change} />
      </details>
      <details>
        <summary>The query</summary>
        <pre class="sql">{change.sql}</pre>
      </details>
    </section>
  );
}

function placeOf({ query, columns, keys, before, after }: Change, { row, column }: Mark): Place {
  const values = before[row] ?? after[row] ?? [];
  const where = Object.fromEntries(keys.map((key) => [key, values[columns.findIndex((each) => each.name === key)] ?? null]));
  return { query, column, where };
}

function changedWords({ changed, total }: Change): string {
  if (!changed) return "Nothing changed.";
  return changed === total ? `${total === 1 ? "Its one row" : `All ${count(total, "row")}`} changed.` : `${number(changed)} of ${count(total, "row")} changed.`;
}

interface Pair { index: number; before: Value[] | null; after: Value[] | null }

function Twin({ change }: { change: Change }) {
  const [all, setAll] = useState(true);
  const pairs = useMemo(() => pairsOf(change), [change]);
  const columns = useMemo(() => columnsOf(change), [change]);
  const marked = new Set(change.marked.map(([row]) => row));
  const rows = all ? pairs : pairs.filter(moved);
  return (
    <>
      {change.changed < change.total && (
        <label class="only-changed">
          <input type="checkbox" checked={!all} onChange={(event) => setAll(!event.currentTarget.checked)} /> Only what changed
        </label>
      )}
      <Whole
        caption={`${change.query}, every row before and after`} columns={columns} rows={rows}
        rowClass={(row) => [marked.has(row.index) && "complained", moved(row) && "moved"].filter(Boolean).join(" ")}
        empty="Nothing changed."
      />
      {change.total > pairs.length && <p class="quiet">{count(change.total - pairs.length, "row")} that did not change are left out.</p>}
    </>
  );
}

function pairsOf({ before, after }: Change): Pair[] {
  return before.map((row, index) => ({ index, before: row, after: after[index] ?? null }));
}

function moved({ before, after }: Pair): boolean {
  return JSON.stringify(before) !== JSON.stringify(after);
}

/** The keys once; every other column before and after, and by how much a number moved. */
function columnsOf(change: Change): TableColumn<Pair>[] {
  return change.columns.flatMap((column, at): TableColumn<Pair>[] => {
    const value = (row: Value[] | null) => row?.[at] ?? null;
    // A number that names a row, a year or an id, is not grouped.
    if (column.key) return [{ ...column, kind: column.kind === "number" ? "text" : column.kind, value: (row) => value(row.before ?? row.after) }];
    const state = (which: "before" | "after"): TableColumn<Pair> => ({
      ...column, name: `${column.name} ${which}`, value: (row) => value(row[which]),
      draw: (row) => (row[which] ? text(value(row[which]), column.kind, column.whole) : <span class="quiet">{which === "before" ? "was not there" : "is gone"}</span>),
    });
    if (column.kind !== "number") return [state("before"), state("after")];
    const by = (row: Pair): number | null => {
      const [from, to] = [value(row.before), value(row.after)];
      return typeof from === "number" && typeof to === "number" ? to - from : null;
    };
    const signed = (row: Pair) => {
      const n = by(row);
      return n === null || n === 0 ? "" : `${n > 0 ? "+" : "−"}${text(Math.abs(n), "number", column.whole)}`;
    };
    return [state("before"), state("after"), { name: `${column.name} change`, head: "change", kind: "number", value: by, draw: signed }];
  });
}
