/** The ranked records of a run: which of them the reader looks at, and which the next run spares. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { asFailure, useAnswer, useHost } from "../context";
import { PAGE, type Sort } from "../Table";
import type { Failure, Host, RecordPage, RecordRow } from "../types";

/** What the reader asked for. `pattern` is a pattern's index; `kept` narrows to records that are kept, or are not. */
export interface Wanted {
  text: string;
  pattern: number | null;
  kept: boolean | null;
  sort: Sort | null;
  offset: number;
}

const ALL: Wanted = { text: "", pattern: null, kept: null, sort: null, offset: 0 };

export interface Records {
  wanted: Wanted;
  page: RecordPage | null;
  busy: boolean;
  failure: Failure | null;
  /** Whether the filter may leave something out. */
  narrowed: boolean;
  /** How many records of the run the next one spares. */
  kept: number;
  isKept(row: RecordRow): boolean;
  /** Another filter or order goes back to the first page. */
  ask(change: Partial<Wanted>): void;
  again(): void;
  mark(row: RecordRow, keep: boolean): Promise<void>;
  /** All that match the filter, in one action; resolves to how many those are. */
  markAll(keep: boolean): Promise<number>;
}

// What was looked at is found again on the way back from a record.
const looked = new WeakMap<Host, Map<string, Wanted>>();

function memory(host: Host): Map<string, Wanted> {
  if (!looked.has(host)) looked.set(host, new Map());
  return looked.get(host)!;
}

export function useRecords(run: string, keptAtFirst: number): Records {
  const host = useHost();
  const [wanted, setWanted] = useState<Wanted>(() => memory(host).get(run) ?? ALL);
  useEffect(() => void memory(host).set(run, wanted), [host, run, wanted]);
  const { text, pattern, kept, sort, offset } = wanted;
  const filter = { run, text: text.trim(), pattern, kept };
  const asked = useAnswer("records", {
    // A file is searched and printed as it is: all of what it carries.
    ...filter, offset, limit: host.mode === "report" ? Number.MAX_SAFE_INTEGER : PAGE, sort: sort?.name ?? null, down: sort?.down ?? false,
  });

  // Marks show at once; the page that came keeps its rows, so that none moves away under the reader's hand.
  const [marks, setMarks] = useState(new Map<string, boolean>());
  const [counted, setCounted] = useState<number | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const latest = useRef(0);

  const ask = useCallback((change: Partial<Wanted>) => {
    setWanted((was) => ({ ...was, offset: 0, ...change }));
  }, []);

  const mark = async (row: RecordRow, keep: boolean) => {
    const put = (value: boolean) => setMarks((was) => new Map(was).set(nameOf(row), value));
    put(keep);
    const mine = ++latest.current;
    try {
      const answer = await host.call("keep", { run, keep, keys: [{ model: row.model, key: row.key }] });
      if (mine === latest.current) setCounted(answer.kept);
      setFailure(null);
    } catch (error) {
      put(!keep);
      setFailure(asFailure(error));
    }
  };

  const markAll = async (keep: boolean) => {
    try {
      const answer = await host.call("keep", { ...filter, keep });
      setMarks(new Map());
      setCounted(answer.kept);
      setFailure(null);
      asked.again();
      return answer.marked;
    } catch (error) {
      setFailure(asFailure(error));
      return 0;
    }
  };

  return {
    wanted, ask, mark, markAll,
    page: asked.answer,
    busy: asked.busy,
    failure: failure ?? asked.failure,
    again: () => (setFailure(null), asked.again()),
    narrowed: filter.text !== "" || pattern !== null || kept !== null,
    kept: counted ?? asked.answer?.kept ?? keptAtFirst,
    isKept: (row) => marks.get(nameOf(row)) ?? row.kept,
  };
}

/** Tells records apart, also of several models. */
export function nameOf(row: { model: string; key: RecordRow["key"] }): string {
  return JSON.stringify([row.model, row.key]);
}
