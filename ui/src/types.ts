/**
 * What the page and its host say to each other: every operation with its request and its answer, all plain JSON.
 *
 * The host is a web server, a notebook's kernel, or nothing but the values that a saved report carries. `Desk` (in
 * `src/rain_debug/desk`) answers the same operations for all of them; `tests/desk` holds its answers to this file.
 * Numbers that JSON has no word for (NaN, ±∞) are null; dates are ISO text; whole numbers beyond 2⁵³ are text.
 */

export type Value = string | number | boolean | null;

/** A column of a table of values. `kind` says how its values read: numbers are right-aligned and grouped. */
export interface Column {
  name: string;
  kind: "number" | "text" | "bool" | "date" | "other";
}

/** A page of a longer table: rows `offset` … `offset + rows.length` of `total`. */
export interface Rows {
  columns: Column[];
  rows: Value[][];
  offset: number;
  total: number;
}

/** A column of a query's answer. `says` is what a complaint about one of its cells may be about. */
export interface AnswerColumn extends Column {
  /** Whether the query groups by it: keys tell rows apart. */
  key: boolean;
  /** "value": a number that predictions move; "class": a predicted class; null: predictions do not move it. */
  says: "value" | "class" | null;
  /** The classes that a cell may hold, where `says` is "class". */
  classes: Value[];
  /** Whether a number is a count, which reads without decimals. */
  whole: boolean;
}

/** How an answer is best drawn: by names of its columns. `table` where it has no picture. */
export interface Chart {
  type: "line" | "bar" | "scatter" | "table";
  x: string | null;
  /** "time" or "number": the axis is continuous; "order": its values in the answer's order. */
  scale: "time" | "number" | "order";
  y: string[];
  color: string | null;
}

/** One place of an answer: a cell, a whole row (`column` null), or with `total` a column's sum over the rows `where`. */
export interface Place {
  query: string;
  column: string | null;
  where: Record<string, Value>;
  total?: boolean;
}

export type Claim =
  | "too_low" | "too_high" | "should_be" | "at_least" | "at_most" | "is_right"
  | "should_equal" | "should_exist" | "should_not_exist";

/** `value` belongs to should_be, at_least, at_most, and is `by` for too_low and too_high; `against` to should_equal. */
export interface Complaint {
  place: Place;
  claim: Claim;
  value?: Value;
  tolerance?: number | null;
  against?: Place;
  /** One of the project's own complaints, by its number, where the words above cannot say it: then they count for nothing. */
  given?: number;
}

/** What stands in one complaint's place, in words too. */
export interface Standing {
  text: string;
  query: string;
  /** null where the complaint was made elsewhere and names no place of an answer. */
  place: Place | null;
  asked: string;
  before: Value;
  after: Value;
  resolved: boolean;
  /** Resolved, or moved the way that was asked where only a direction was. */
  met: boolean;
}

/** What went wrong, as a `RainError` says it; `line` and `column` count from 1, `fragment` is the SQL underlined. */
export interface Failure {
  kind: string;
  message: string;
  where: string | null;
  hint: string | null;
  fragment: string | null;
  line: number | null;
  column: number | null;
}

export interface Project {
  title: string;
  version: string;
  /** `own`: the project brings it; else it was typed here. */
  queries: { name: string; sql: string; own: boolean }[];
  models: {
    name: string; records: number; label: string; key: string; classes: Value[]; features: string[];
  }[];
  tables: { name: string; columns: Column[] }[];
  /** The complaints that the project file brings. */
  complaints: { complaint: Complaint; text: string }[];
  defaults: Settings;
  rankers: string[];
  runs: number;
}

export interface QueryView {
  name: string;
  sql: string;
  columns: AnswerColumn[];
  keys: string[];
  chart: Chart;
  /** Rows 0 … `rows.length` of `total`: at most 1,000, the rest by `rows`. */
  rows: Value[][];
  total: number;
  /** Why nothing here can be complained about; null where something can. */
  refused: string | null;
}

export interface Settings {
  budget: number;
  step: number;
  ranker: string;
  fix: "delete" | "relabel" | "auto";
  until: "resolved" | "budget";
  seed: number;
}

/** `keep_of`: the records that were marked as kept in that run are spared in this one. */
export interface RunRequest {
  complaints: Complaint[];
  settings: Partial<Settings>;
  keep_of?: string | null;
}

/** A complained query's answer before and after. `after[i]` is null where row i is gone, `before[i]` where it is new. */
export interface Change {
  query: string;
  sql: string;
  columns: AnswerColumn[];
  keys: string[];
  chart: Chart;
  before: (Value[] | null)[];
  after: (Value[] | null)[];
  /** Rows of the answer, and of these how many changed; rows beyond the first 1,000 are left out unless they changed. */
  total: number;
  changed: number;
  /** Whether its rows are groups, or one total; else they are rows of the queried data. */
  grouped: boolean;
  /** The cells complained about: [row, column name]. */
  marked: [number, string][];
}

/** What the removed records share. `covers`: the share of them that it matches; `within`: of its matches, those removed. */
export interface Pattern {
  index: number;
  model: string;
  sql: string;
  words: string;
  records: number;
  covers: number;
  within: number;
  /** The change of the complaints' measure without all its records: foreseen, and after a refit; null: not tried. */
  estimated: number | null;
  verified: number | null;
  /** Where each complaint would stand, in the order of `RunView.complaints`; empty: not tried. */
  cells: Value[];
}

export interface RunHead {
  id: string;
  /** UTC, ISO. */
  at: string;
  state: "done" | "interrupted" | "failed";
  sentence: string;
  complaints: string[];
  removed: number;
  met: boolean;
  seconds: number;
}

export interface RunView extends RunHead {
  /** Why the training data may have nothing to do with it; "" where nothing speaks against. Shown first. */
  doubt: string;
  /** "230 of 300 removed records: source = 'client-7'"; "" where there is none. */
  pattern: string;
  warnings: string[];
  stopped: string;
  standings: Standing[];
  rounds: { number: number; removed: number; q: number; values: Value[] }[];
  changes: Change[];
  patterns: Pattern[];
  /** `keys` and `labels`: the records' own columns that hold what is listed as their key and label. */
  models: { name: string; records: number; removed: number; keys: string[]; labels: string[] }[];
  /** The records' own columns, after rank, model, key, score, label, fix. */
  columns: Column[];
  records: number;
  kept: number;
  request: RunRequest;
  /** Whether patterns can be tried, side effects asked for, and so on: the session that made the run is still there. */
  live: boolean;
}

export interface RecordRow {
  rank: number;
  model: string;
  key: Value;
  score: number | null;
  label: Value;
  fix: string;
  kept: boolean;
  values: Value[];
}

export interface RecordPage {
  columns: Column[];
  rows: RecordRow[];
  offset: number;
  total: number;
  kept: number;
}

/** Which records of a run: all, those whose text contains `text`, those of a pattern. */
export interface RecordFilter {
  run: string;
  text?: string;
  pattern?: number | null;
  kept?: boolean | null;
}

export interface RecordView {
  model: string;
  key: Value;
  label: Value;
  columns: Column[];
  values: Value[];
  /** The cells and the queried rows that it moves, and the records that look like it. */
  cells: Rows;
  rows: Rows;
  alike: Rows;
}

export interface Text { title: string; lines: string[]; tables: { title: string; rows: Rows }[] }

/** A file to be saved by the reader: `base64` where it is not text. */
export interface Download { name: string; mime: string; text?: string; base64?: string }

/** Operations that answer once. */
export interface Ops {
  project: [Record<string, never>, Project];
  query: [{ name: string }, QueryView];
  /** A query that was typed: a new one, or another text for one of that name; refused text is a Failure. */
  ask: [{ sql: string; name?: string | null }, QueryView];
  rows: [{ query: string; offset: number; limit: number; sort?: string | null; down?: boolean }, Rows];
  /** The value of a place now, and its complaint in words: the form's live line. */
  place: [{ place: Place }, { text: string; value: Value; says: "value" | "class" | "row"; classes: Value[]; whole: boolean }];
  describe: [{ complaint: Complaint }, { text: string; holds: boolean }];
  rows_behind: [{ place: Place; offset: number; limit: number }, Rows];
  records_behind: [{ place: Place; limit: number }, Rows];
  /** The records that complaints point to, before anything is tried; `ready` is false where only a run can say. */
  suspects: [{ complaints: Complaint[]; limit: number }, { ready: boolean; doubt: string; rows: Rows }];
  runs: [{ offset: number; limit: number }, { runs: RunHead[]; total: number }];
  run: [{ id: string }, RunView];
  records: [RecordFilter & { offset: number; limit: number; sort?: string | null; down?: boolean }, RecordPage];
  /** Mark records as kept (spared by the next run), or not: by keys, or all that match a filter. */
  keep: [RecordFilter & { keep: boolean; keys?: { model: string; key: Value }[] | null }, { kept: number; marked: number }];
  record: [{ model: string; key: Value }, RecordView];
  side_effects: [{ id: string }, Text];
  prefix: [{ id: string }, Text];
  forecasts: [{ id: string }, Text];
  /** `sql`: the fixes as a script for `table`; `check`: a pattern as a data check. */
  export: [
    { id: string; format: "csv" | "parquet" | "json" | "txt" | "html" | "sql" | "check"; table?: string | null; pattern?: number | null },
    Download,
  ];
}

export type Progress =
  | { type: "started"; id: string; budget: number }
  /** Nothing new, but at work: comes at least twice a second. */
  | { type: "waiting"; seconds: number; doing: string }
  | { type: "round"; number: number; removed: number; budget: number; seconds: number; standings: Standing[] }
  | { type: "done"; run: RunView }
  | { type: "failed"; failure: Failure };

/** Operations that tell how they go on, and can be aborted: an aborted run keeps the rounds that are done. */
export interface Streams {
  debug: RunRequest;
  /** What fixing all records of one pattern does, as a run of its own. */
  fix_pattern: { id: string; pattern: number };
}

/** Where the operations are answered. */
export interface Host {
  /** "page": addresses and downloads are the browser's; "notebook": none of these; "report": one run, no operations. */
  mode: "page" | "notebook" | "report";
  /** What a saved report says of the records that it leaves out. */
  note?: string;
  call<K extends keyof Ops>(op: K, request: Ops[K][0]): Promise<Ops[K][1]>;
  /** Resolves after the last event; rejects with a Failure. */
  stream<K extends keyof Streams>(
    op: K, request: Streams[K], on: (event: Progress) => void, signal: AbortSignal,
  ): Promise<void>;
  /** Told of what the reader looks at; a notebook's widget makes the finished run its value. */
  seen?(run: RunView): void;
}

/** What a saved report carries. `records` holds the first 1,000, or none with `--no-rows`. */
export interface Saved { run: RunView; records: RecordPage; effects: Text | null; rows_left_out: string }
