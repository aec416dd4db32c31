/** An answer as a chart or as a table: either way each place of it can be picked. */

import { useMemo } from "preact/hooks";

import { Chart, type Mark, type Series, type Spotted } from "../Chart";
import { useHost } from "../context";
import { count, number, reading, text } from "../format";
import { Cell, Loaded, type TableColumn } from "../Table";
import type { Place, QueryView, Value } from "../types";
import { adds, asked, cellOf, indexOf, rowOf, samePlace, sayable, totalOf, type Picked } from "./claims";
import { useTray } from "./tray";

export interface AnswerProps {
  view: QueryView;
  picked: Picked | null;
  pick(picked: Picked): void;
}

export function AnswerChart({ view, picked, pick }: AnswerProps) {
  const tray = useTray();
  const layers = useMemo(() => [{ name: "now", rows: view.rows }], [view]);
  const says = new Set(sayable(view).map((each) => each.name));
  const can = view.refused === null && view.chart.y.some((each) => says.has(each));
  const row = indexOf(view, picked?.place ?? null);
  const at = (place: Place | null): [number, string][] => {
    const index = indexOf(view, place);
    return index < 0 || place?.column === null || !place ? [] : [[index, place.column]];
  };
  const onMark = ({ row: index, column }: Mark) => {
    const values = view.rows[index]!;
    pick(says.has(column) ? cellOf(view, values, column) : rowOf(view, values));
  };
  const onSeries = ({ column, value }: Series) =>
    pick(totalOf(view, column, view.chart.color === null ? {} : { [view.chart.color]: value }));
  const adding = view.columns.filter((each) => view.chart.y.includes(each.name) && adds(view, each));
  return (
    <>
      <Chart
        chart={view.chart} columns={view.columns} layers={layers} label={`${view.name}, ${view.chart.y.join(", ")} by ${view.chart.x}`}
        onMark={can ? onMark : undefined} onSeries={can && adding.length ? onSeries : undefined}
        chosen={row >= 0 && picked?.place.column ? { layer: 0, row, column: picked.place.column } : null}
        marked={tray.items.flatMap(({ complaint }) => at(complaint.place))}
        moving={spotted(view, tray.going?.standings.map(({ place, after }) => ({ place, value: after })) ?? [])}
        wanted={spotted(view, tray.items.map(({ complaint }) => ({ place: complaint.place, value: asked(complaint) })))}
      />
      <div class="chart-foot">
        {can && adding.map((column) => <Total key={column.name} picked={totalOf(view, column.name, {})} pick={pick} on={picked} />)}
        {view.rows.length < view.total && (
          <span class="quiet note">The first {number(view.rows.length)} of {count(view.total, "row")} are drawn; the table has all.</span>
        )}
      </div>
    </>
  );
}

/** The cells of this answer among places, with a number for each. */
function spotted(view: QueryView, all: { place: Place | null; value: Value }[]): Spotted[] {
  return all.flatMap(({ place, value }) => {
    const row = indexOf(view, place);
    return row >= 0 && place!.column !== null && typeof value === "number" ? [{ row, column: place!.column, value }] : [];
  });
}

function Total({ picked, pick, on }: { picked: Picked; pick(picked: Picked): void; on: Picked | null }) {
  const said = `Total of ${picked.place.column}${picked.value === null ? "" : `: ${text(picked.value, "number", picked.whole)}`}`;
  return (
    <button type="button" class="total" aria-pressed={samePlace(on?.place, picked.place)} onClick={() => pick(picked)}>{said}</button>
  );
}

/** An answer of one row: its numbers, large. */
export function AnswerFigures({ view, picked, pick }: AnswerProps) {
  const tray = useTray();
  const row = view.rows[0]!;
  return (
    <div class="figures">
      {view.columns.map((column, at) => {
        const mine = cellOf(view, row, column.name);
        const value = text(row[at], reading(column), column.whole);
        const marked = tray.items.some(({ complaint }) => samePlace(complaint.place, mine.place));
        const state = `figure${samePlace(picked?.place, mine.place) ? " chosen" : ""}${marked ? " marked" : ""}`;
        return view.refused === null && column.says ? (
          <button
            type="button" key={column.name} class={state} data-at={`0,${at}`} onClick={() => pick(mine)}
            aria-pressed={samePlace(picked?.place, mine.place)}
          >
            <span class="figure-name">{column.name}</span> <span class="figure-value">{value}</span>
          </button>
        ) : (
          <div key={column.name} class={state}><span class="figure-name">{column.name}</span> <span class="figure-value">{value}</span></div>
        );
      })}
    </div>
  );
}

export const isFigures = (view: QueryView): boolean => view.chart.type === "table" && view.total === 1 && view.columns.length <= 4;

export function AnswerTable({ view, picked, pick }: AnswerProps) {
  const host = useHost();
  const tray = useTray();
  const open = view.refused === null;
  const says = new Set(open ? sayable(view).map((each) => each.name) : []);
  const complained = new Set(tray.items.map(({ complaint: { place } }) => JSON.stringify([place.query, place.column, place.where])));

  const dress = (plain: TableColumn<Value[]>[]): TableColumn<Value[]>[] => plain.map((column, at) => {
    const own = view.columns.find((each) => each.name === column.name);
    // A key's cell stands for its whole row, so that a row can be picked where no cell of it can.
    const cell = says.has(column.name), whole = open && !!own?.key && view.keys[0] === column.name;
    if (!cell && !whole) return { ...column, whole: own?.whole };
    return {
      ...column,
      draw(values, index) {
        const mine = cell ? cellOf(view, values, column.name) : rowOf(view, values);
        const state = [
          "cell", cell && "says", samePlace(picked?.place, mine.place) && "chosen",
          complained.has(JSON.stringify([mine.place.query, mine.place.column, mine.place.where])) && "marked",
        ].filter(Boolean).join(" ");
        const value = values[at] ?? null;
        return (
          <button
            type="button" class={state} data-at={`${index},${at}`} onClick={() => pick(mine)} aria-pressed={samePlace(picked?.place, mine.place)}
            aria-label={cell ? undefined : `The row of ${column.name} ${text(value, column.kind)}`}
          >
            <Cell value={value} kind={own?.key ? "text" : reading(column)} whole={own?.whole} plain />
          </button>
        );
      },
    };
  });
  const adding = open ? view.columns.filter((each) => adds(view, each)) : [];
  return (
    <>
      <Loaded
        name={`${view.name}\n${view.sql}`} caption={`The answer of ${view.name}`} sorts dress={dress}
        load={async (offset, limit, sort) =>
          sort === null && offset + limit <= view.rows.length || view.total <= view.rows.length && sort === null
            ? { columns: view.columns, rows: view.rows.slice(offset, offset + limit), offset, total: view.total }
            : host.call("rows", { query: view.name, offset, limit, sort: sort?.name ?? null, down: sort?.down ?? false })}
        empty="The answer is empty."
      />
      <div class="chart-foot">
        {adding.map((column) => <Total key={column.name} picked={totalOf(view, column.name, {})} pick={pick} on={picked} />)}
        {open && view.keys.length > 0 && <Missing view={view} pick={pick} />}
      </div>
    </>
  );
}

/** Names a row that the answer should have: by its keys. */
function Missing({ view, pick }: { view: QueryView; pick(picked: Picked): void }) {
  return (
    <details class="missing">
      <summary>A row is missing…</summary>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const data = new FormData(event.currentTarget);
          const where = Object.fromEntries(view.keys.map((key, i) => [key, valueOf(view, key, String(data.get(String(i)) ?? ""))]));
          pick({ place: { query: view.name, column: null, where }, says: "row", value: null, classes: [], whole: false, missing: true });
        }}
      >
        {view.keys.map((key, i) => <label key={key}>{key} <input name={String(i)} required autocomplete="off" /></label>)}
        <button class="button">Complain</button>
      </form>
    </details>
  );
}

function valueOf(view: QueryView, key: string, typed: string): Value {
  const kind = view.columns.find((each) => each.name === key)?.kind;
  const value = Number(typed);
  if (kind === "number" && typed.trim() !== "" && !Number.isNaN(value)) return value;
  return kind === "bool" && /^(true|false)$/i.test(typed) ? typed.toLowerCase() === "true" : typed;
}

