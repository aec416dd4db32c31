/** The fixed records in order: searched, sorted, a page at a time; and which of them the next run spares. */

import { useEffect, useRef, useState } from "preact/hooks";

import { Link, useHost, useView } from "../context";
import { FailureBox } from "../failure";
import { count, cut, number } from "../format";
import { useKeys } from "../keys";
import { recordRoute } from "../routes";
import { buttons, enter } from "../roving";
import { PAGE, Table, type TableColumn } from "../Table";
import type { RecordRow, RunView } from "../types";
import type { Records as Held } from "./ranked";
import { fixed } from "./words";

export function Records({ run, records }: { run: RunView; records: Held }) {
  const host = useHost();
  const marks = host.mode !== "report";
  const { page, wanted } = records;
  const box = useRef<HTMLElement>(null);
  useRowKeys(box, records);
  if (!run.records) return null;
  const title = `${fixed(run) === "removed" ? "Removed" : "Fixed"} records, in order`;
  const offset = page?.offset ?? 0;
  return (
    <section ref={box} class="records" aria-labelledby="records-title">
      <h2 id="records-title" tabIndex={-1}>{title}</h2>
      <p class="quiet">
        The records that move the answer most come first.
        {marks && <> Keep those that are right: the next run spares them. <kbd>k</kbd> keeps the one in focus.</>}
      </p>
      {host.note && <p class="note">{host.note}</p>}
      {(marks || records.narrowed || Boolean(page?.total)) && <Filter run={run} records={records} marks={marks} />}
      {records.failure && <FailureBox failure={records.failure} again={records.again} />}
      {page && (
        <Table
          caption={`${title}: rank, fix and values`} columns={columnsOf(run, records, marks)}
          rows={page.rows} offset={offset} total={page.total} busy={records.busy}
          onPage={(to) => records.ask({ offset: to })}
          sort={wanted.sort} onSort={(sort) => records.ask({ sort })}
          rowClass={(row: RecordRow) => (records.isKept(row) ? "kept" : undefined)}
          empty={records.narrowed ? "No record matches." : "No records are shown."}
        />
      )}
      {!page && !records.failure && <p class="quiet waiting" role="status">Loading…</p>}
    </section>
  );
}

function columnsOf(run: RunView, records: Held, marks: boolean): TableColumn<RecordRow>[] {
  const several = run.models.length > 1;
  const keep: TableColumn<RecordRow> = {
    name: "kept", kind: "other", head: "Keep", value: (row) => row.kept,
    draw: (row, index) => <Keep row={row} index={index} records={records} />,
  };
  const model: TableColumn<RecordRow> = { name: "model", kind: "text", head: "Model", sorts: true, value: (row) => row.model };
  const own = run.columns.map((column, at): TableColumn<RecordRow> => (
    { name: column.name, kind: column.kind, sorts: true, value: (row) => row.values[at] ?? null }
  ));
  return [
    ...(marks ? [keep] : []),
    { name: "rank", kind: "number", head: "Rank", whole: true, sorts: true, value: (row) => row.rank },
    {
      name: "key", kind: "text", head: "Record", sorts: true, value: (row) => row.key,
      ...(marks && { draw: (row: RecordRow, index: number) => <Opened row={row} index={index} /> }),
    },
    ...(several ? [model] : []),
    { name: "label", kind: "text", head: "Label", sorts: true, value: (row) => row.label },
    { name: "fix", kind: "text", head: "Suggested fix", sorts: true, value: (row) => row.fix },
    ...own,
    { name: "score", kind: "number", head: "Score", sorts: true, value: (row) => row.score },
  ];
}

function Keep({ row, index, records }: { row: RecordRow; index: number; records: Held }) {
  const kept = records.isKept(row);
  return (
    <button
      type="button" class="keep" data-at={`${index},0`} aria-pressed={kept}
      onClick={() => void records.mark(row, !kept)}
    >
      {kept && <span aria-hidden="true">✓ </span>}Keep<span class="spoken"> record {String(row.key)}</span>
    </button>
  );
}

function Opened({ row, index }: { row: RecordRow; index: number }) {
  return <Link to={recordRoute(row.model, row.key)} at={`${index},1`}>{cut(String(row.key), 40)}</Link>;
}

/** Which records are looked at, and with `marks` what is done to all of these at once. */
function Filter({ run, records, marks }: { run: RunView; records: Held; marks: boolean }) {
  const { say } = useView();
  const { wanted, ask, page } = records;
  const [text, setText] = useState(wanted.text);
  const typed = useRef(wanted.text);
  useEffect(() => {
    if (text === typed.current) return;
    const timer = setTimeout(() => ask({ text: (typed.current = text) }), 200);
    return () => clearTimeout(timer);
  }, [text, ask]);
  const found = records.busy || !page ? null : page.total;
  useEffect(() => {
    if (found !== null && records.narrowed) say(`${count(found, "record")} found`);
  }, [found, wanted.text, wanted.pattern, wanted.kept]);
  const markAll = async (keep: boolean) => {
    const marked = await records.markAll(keep);
    if (marked) say(`${count(marked, "record")} ${keep ? "kept" : "no longer kept"}`);
  };
  const pattern = wanted.pattern === null ? undefined : run.patterns.find((each) => each.index === wanted.pattern);
  return (
    <div class="filter" role="search" aria-label="Records">
      <label class="filter-text">
        <span>Search</span>
        <input
          type="search" value={text} placeholder="text in any column" data-search
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      {marks && (
        <label>
          <span>Show</span>
          <select
            value={String(wanted.kept)}
            onChange={(event) => ask({ kept: { true: true, false: false }[event.currentTarget.value] ?? null })}
          >
            <option value="null">all</option>
            <option value="true">kept</option>
            <option value="false">not kept</option>
          </select>
        </label>
      )}
      {wanted.pattern !== null && (
        <button type="button" class="chip" onClick={() => ask({ pattern: null })}>
          <span>{pattern ? cut(pattern.words, 60) : "one pattern"}</span> <span aria-hidden="true">×</span>
          <span class="spoken"> (show all records again)</span>
        </button>
      )}
      {marks && records.narrowed && found !== null && found > 0 && (
        <span class="filter-all">
          <button type="button" class="button" onClick={() => void markAll(true)}>
            {found === 1 ? "Keep the 1 that matches" : `Keep all ${number(found)} that match`}
          </button>
          {records.kept > 0 && (
            <button type="button" class="button quiet-button" onClick={() => void markAll(false)}>Keep none of them</button>
          )}
        </span>
      )}
    </div>
  );
}

/** k marks the record in focus and goes on to the next, over the end of the page too; / goes to the search. */
function useRowKeys(box: { current: HTMLElement | null }, records: Held) {
  const { say, frame } = useView();
  const host = useHost();
  const root = frame.getRootNode() as ShadowRoot | Document;
  const awaited = useRef<number | null>(null);
  const focus = (index: number) => {
    const all = buttons(box.current);
    const at = all.find((each) => each.dataset.at === `${index},0`);
    if (at) enter(all, at);
    return at !== undefined;
  };
  useEffect(() => {
    if (awaited.current !== null && focus(awaited.current)) awaited.current = null;
  }, [records.page]);
  const keep = () => {
    const { page } = records;
    const inside = box.current?.contains(root.activeElement);
    const at = inside ? root.activeElement?.closest<HTMLElement>("tbody tr")?.querySelector<HTMLElement>("[data-at]") : null;
    if (!page?.rows.length) return;
    if (!at) return void focus(page.offset);
    const index = Number(at.dataset.at!.split(",")[0]);
    const row = page.rows[index - page.offset];
    if (!row) return;
    const kept = !records.isKept(row);
    void records.mark(row, kept);
    say(`Record ${String(row.key)} ${kept ? "kept" : "no longer kept"}`);
    const next = index + 1;
    if (next >= page.total || focus(next)) return;
    awaited.current = next;
    records.ask({ offset: page.offset + PAGE });
  };
  const search = () => box.current?.querySelector<HTMLElement>("[data-search]")?.focus();
  useKeys("Records of a run", host.mode === "report" ? {} : { keep, search });
}

