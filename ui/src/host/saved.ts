/** A saved report as host: one run and its first records; nothing else can be asked of a file. */

import type { Host, Ops, RecordFilter, RecordPage, RecordRow, Saved, Value } from "../types";
import { failure } from "./web";

export function savedHost(saved: Saved): Host {
  const answers: { [K in keyof Ops]?: (request: Ops[K][0]) => Ops[K][1] } = {
    run: () => saved.run,
    runs: () => ({ runs: [saved.run], total: 1 }),
    records: (request) => page(saved.records, request),
    ...(saved.effects && { side_effects: () => saved.effects! }),
  };
  return {
    mode: "report",
    note: saved.rows_left_out || undefined,
    async call<K extends keyof Ops>(op: K, request: Ops[K][0]): Promise<Ops[K][1]> {
      const answer = answers[op];
      if (!answer) throw unasked();
      return answer(request);
    },
    stream: () => Promise.reject(unasked()),
  };
}

const unasked = () =>
  failure("SavedReport", "A saved report shows one run; nothing new can be asked of it.", "Open the run with rain serve.");

type Paged = RecordFilter & { offset: number; limit: number; sort?: string | null; down?: boolean };

function page(records: RecordPage, { text, kept, offset, limit, sort, down }: Paged): RecordPage {
  const wanted = text?.toLowerCase();
  let rows = records.rows.filter(
    (row) =>
      (kept === undefined || kept === null || row.kept === kept) &&
      (!wanted || [row.key, row.label, row.fix, ...row.values].some((v) => String(v).toLowerCase().includes(wanted))),
  );
  if (sort) {
    const of = field(records, sort);
    rows = [...rows].sort((a, b) => compare(of(a), of(b)) * (down ? -1 : 1));
  }
  // What the file does not carry cannot be turned to.
  return { ...records, rows: rows.slice(offset, offset + limit), offset, total: rows.length };
}

function field(records: RecordPage, name: string): (row: RecordRow) => Value {
  const at = records.columns.findIndex((column) => column.name === name);
  return at >= 0 ? (row) => row.values[at] ?? null : (row) => (row as unknown as Record<string, Value>)[name] ?? null;
}

function compare(a: Value, b: Value): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}
