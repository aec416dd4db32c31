/** What is taken home of a run: its records, its report, its fixes as a script, a pattern as a check. */

import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { asFailure, useHost, useView } from "../context";
import { FailureBox } from "../failure";
import type { Download, Failure, Ops, RunView } from "../types";

type Format = Ops["export"][0]["format"];

const FORMATS: { format: Format; title: string; says: string }[] = [
  { format: "csv", title: "Records as CSV", says: "the fixed records in order, for a spreadsheet" },
  { format: "parquet", title: "Records as Parquet", says: "the same, with types" },
  { format: "html", title: "Report as HTML", says: "one file to send or print" },
  { format: "txt", title: "Report as text", says: "to paste into a ticket" },
  { format: "json", title: "Report as JSON", says: "everything, for programs" },
];

/** A button that opens the list of exports; Escape closes it and goes back to the button. */
export function Exports({ run }: { run: RunView }) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const { failure, save } = useSave(run);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  useLayoutEffect(() => {
    if (open) list.current?.querySelector<HTMLElement>("button")?.focus();
  }, [open]);
  return (
    <div class="exports" onKeyDown={(event) => open && event.key === "Escape" && (event.preventDefault(), close())}>
      <button ref={button} type="button" class="button" aria-expanded={open} onClick={() => (open ? close() : setOpen(true))}>
        Export <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <div class="card export-list" ref={list} role="group" aria-label="Export">
          <ul>
            {FORMATS.map(({ format, title, says }) => (
              <li key={format}>
                <button type="button" class="export-entry" onClick={() => void save({ format }).then((done) => done && close())}>
                  <strong>{title}</strong> <span class="quiet">{says}</span>
                </button>
              </li>
            ))}
          </ul>
          {failure && <FailureBox failure={failure} />}
          {run.removed > 0 && (
            <SaveForm
              run={run} format="sql" table={run.models[0]?.name ?? ""}
              says="The fixes as SQL for your own table, in one transaction. Rain never runs it."
            />
          )}
        </div>
      )}
    </div>
  );
}

/** Asks for the table that a script or a check is written for, and shows what is saved. */
export function SaveForm(props: {
  run: RunView; format: "sql" | "check"; pattern?: number; table: string; says: string; close?(): void;
}) {
  const [table, setTable] = useState("");
  const { failure, save, saved } = useSave(props.run);
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (props.close) field.current?.focus();
  }, []);
  const submit = (event: Event) => {
    event.preventDefault();
    void save({ format: props.format, table: table.trim(), pattern: props.pattern });
  };
  return (
    <form class="save" onSubmit={submit}>
      <p class="quiet">{props.says}</p>
      <label class="save-table">
        <span>{props.format === "sql" ? "Fixes as SQL for the table" : "For the table"}</span>
        <input ref={field} required value={table} placeholder={`${props.table}_training`} onInput={(event) => setTable(event.currentTarget.value)} />
      </label>
      <button class="button">{props.format === "sql" ? "Save script" : "Save check"}</button>
      {failure && <FailureBox failure={failure} />}
      {saved?.text !== undefined && <pre class="sql preview" tabIndex={0} aria-label={saved.name}>{saved.text.slice(0, PREVIEW)}{saved.text.length > PREVIEW && "\n…"}</pre>}
    </form>
  );
}

const PREVIEW = 2000;

/** Asks the host for a file and hands it to the reader. */
function useSave(run: RunView) {
  const host = useHost();
  const { say } = useView();
  const [failure, setFailure] = useState<Failure | null>(null);
  const [saved, setSaved] = useState<Download | null>(null);
  const save = async (what: { format: Format; table?: string; pattern?: number }): Promise<boolean> => {
    try {
      const file = await host.call("export", { id: run.id, table: null, pattern: null, ...what });
      hand(file);
      setSaved(file);
      setFailure(null);
      say(`Saved ${file.name}`);
      return true;
    } catch (error) {
      setFailure(asFailure(error));
      return false;
    }
  };
  return { failure, saved, save };
}

/** The browser saves the file under its name. */
function hand(file: Download): void {
  const bytes = file.base64 === undefined ? null : Uint8Array.from(atob(file.base64), (each) => each.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes ?? file.text ?? ""], { type: file.mime }));
  const link = document.createElement("a");
  link.href = url;
  link.download = file.name;
  link.click();
  // The browser reads the file after this returns.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
