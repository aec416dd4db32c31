/** A table that stays small however long it is: a page of its rows is shown, the others are asked for. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { asFailure } from "./context";
import { FailureBox } from "./failure";
import { LONG, cut, number, reading, text } from "./format";
import { useRoving } from "./roving";
import type { Column, Failure, Rows, Value } from "./types";

export const PAGE = 100;

export interface TableColumn<R> {
  name: string;
  kind: Column["kind"];
  /** What stands above it where that is not its name. */
  head?: ComponentChildren;
  value(row: R): Value;
  whole?: boolean;
  /** What is drawn instead of the value; `index` counts over all rows. */
  draw?(row: R, index: number): ComponentChildren;
  sorts?: boolean;
}

export interface Sort { name: string; down: boolean }

/** The columns of rows that are lists of values. */
export function valueColumns(columns: Column[], sorts = false): TableColumn<Value[]>[] {
  return columns.map((column, at) => ({ ...column, sorts, value: (row) => row[at] ?? null }));
}

interface TableProps<R> {
  /** Said to those who do not see it, and shown with `titled`. */
  caption: string;
  titled?: boolean;
  columns: TableColumn<R>[];
  rows: R[];
  /** Of the first of `rows` among `total`. */
  offset?: number;
  total?: number;
  onPage?(offset: number): void;
  sort?: Sort | null;
  onSort?(sort: Sort): void;
  rowClass?(row: R, index: number): string | undefined;
  busy?: boolean;
  empty?: string;
}

export function Table<R>(props: TableProps<R>) {
  const { columns, rows, offset = 0, total = rows.length } = props;
  const scroll = useRef<HTMLDivElement>(null);
  const roving = useRoving(scroll, columns);
  const [overflows, setOverflows] = useState(false);
  useEffect(() => {
    const box = scroll.current!;
    const look = () => setOverflows(box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1);
    const observer = new ResizeObserver(look);
    observer.observe(box);
    look();
    return () => observer.disconnect();
  }, [rows, columns]);
  const first = useRef(offset);
  useEffect(() => {
    if (first.current !== offset) scroll.current!.scrollTop = 0;
    first.current = offset;
  }, [offset]);
  return (
    <div class="table" aria-busy={props.busy}>
      {/* What scrolls is reached by keyboard, and says what it is. */}
      <div
        class="table-scroll" ref={scroll} onKeyDown={roving} role="region" aria-label={props.caption}
        tabIndex={overflows ? 0 : undefined}
      >
        <table>
          <caption class={props.titled ? undefined : "spoken"}>{props.caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <th
                  key={column.name} scope="col" class={column.kind}
                  aria-sort={props.sort?.name === column.name ? (props.sort.down ? "descending" : "ascending") : undefined}
                >
                  <Head column={column} sort={props.sort} onSort={props.onSort} />
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, at) => (
              <tr key={offset + at} class={props.rowClass?.(row, offset + at)}>
                {columns.map((column) => (
                  <td key={column.name} class={column.kind}>
                    {column.draw
                      ? column.draw(row, offset + at)
                      : <Cell value={column.value(row)} kind={reading(column)} whole={column.whole} />}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
        {!rows.length && !props.busy && <p class="quiet empty">{props.empty ?? "No rows."}</p>}
      </div>
      {props.onPage && total > rows.length && <Pager of={props.caption} offset={offset} shown={rows.length} total={total} go={props.onPage} />}
    </div>
  );
}

function Head<R>(props: { column: TableColumn<R>; sort?: Sort | null; onSort?(sort: Sort): void }) {
  const { column, sort, onSort } = props;
  const title = column.head ?? column.name;
  if (!onSort || !column.sorts) return <>{title}</>;
  const mine = sort?.name === column.name;
  return (
    <button type="button" class="sort" onClick={() => onSort({ name: column.name, down: mine ? !sort!.down : false })}>
      {title}<span aria-hidden="true">{mine ? (sort!.down ? " ↓" : " ↑") : ""}</span>
    </button>
  );
}

/** A value in a table: long text is folded, and unfolds where it stands; `plain` text is only cut, as inside a button. */
export function Cell(props: { value: Value; kind: Column["kind"]; whole?: boolean; plain?: boolean }) {
  const [open, setOpen] = useState(false);
  const said = text(props.value, props.kind, props.whole);
  if (props.value === null) return <span class="quiet" aria-label="nothing">—</span>;
  if (said.length <= LONG || props.plain) return <>{cut(said)}</>;
  return (
    <span class="long">
      {open ? said : cut(said)}{" "}
      <button type="button" class="link" onClick={() => setOpen(!open)} aria-expanded={open}>{open ? "less" : "more"}</button>
    </span>
  );
}

export function Pager(props: { of: string; offset: number; shown: number; total: number; go(offset: number): void }) {
  const { offset, shown, total, go } = props;
  const end = Math.max(0, Math.floor((total - 1) / PAGE) * PAGE);
  return (
    <nav class="pager" aria-label={`Pages of ${props.of}`}>
      <button type="button" class="button" disabled={offset <= 0} onClick={() => go(0)} aria-label="First page">«</button>
      <button type="button" class="button" disabled={offset <= 0} onClick={() => go(Math.max(0, offset - PAGE))}>Previous</button>
      <span>{number(offset + 1)}–{number(offset + shown)} of {number(total)}</span>
      <button type="button" class="button" disabled={offset + shown >= total} onClick={() => go(offset + PAGE)}>Next</button>
      <button type="button" class="button" disabled={offset + shown >= total} onClick={() => go(end)} aria-label="Last page">»</button>
    </nav>
  );
}

/** A table that asks `load` for each of its pages; `name` tells one set of rows from another. */
export function Loaded(props: {
  name: string;
  caption: string;
  titled?: boolean;
  load(offset: number, limit: number, sort: Sort | null): Promise<Rows>;
  sorts?: boolean;
  /** Changes the columns before they are drawn. */
  dress?(columns: TableColumn<Value[]>[]): TableColumn<Value[]>[];
  empty?: string;
}) {
  const [at, setAt] = useState<{ name: string; offset: number; sort: Sort | null }>({ name: props.name, offset: 0, sort: null });
  const wanted = at.name === props.name ? at : { name: props.name, offset: 0, sort: null };
  const [page, setPage] = useState<Rows | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState(true);
  const [turn, setTurn] = useState(0);
  const key = JSON.stringify(wanted);
  useEffect(() => {
    let mine = true;
    setBusy(true);
    props.load(wanted.offset, PAGE, wanted.sort).then(
      (rows) => mine && (setPage(rows), setFailure(null), setBusy(false)),
      (error: unknown) => mine && (setFailure(asFailure(error)), setBusy(false)),
    );
    return () => void (mine = false);
  }, [key, turn]);
  if (failure) return <FailureBox failure={failure} again={() => setTurn(turn + 1)} />;
  if (!page) return <p class="quiet waiting" role="status">Loading…</p>;
  const columns = valueColumns(page.columns, props.sorts);
  return (
    <Table
      caption={props.caption} titled={props.titled} columns={props.dress?.(columns) ?? columns} rows={page.rows}
      offset={page.offset} total={page.total} busy={busy} empty={props.empty}
      onPage={(offset) => setAt({ ...wanted, offset })}
      sort={wanted.sort} onSort={props.sorts ? (sort) => setAt({ ...wanted, offset: 0, sort }) : undefined}
    />
  );
}
