/** The SQL of a query, to be read, changed and asked again; what is refused is underlined. */

import { useEffect, useRef, useState } from "preact/hooks";

import { asFailure, useHost, useProject, useView } from "../context";
import { FailureBox } from "../failure";
import { useKeys } from "../keys";
import type { Failure, QueryView } from "../types";
import { editor, type Editor } from "./editor";

export function SqlBox(props: {
  /** null where a new query is typed. */
  view: QueryView | null;
  asked(view: QueryView): void;
  leave(): void;
}) {
  const { view, asked } = props;
  const { say } = useView();
  const host = useHost();
  const project = useProject()!;
  const box = useRef<HTMLDivElement>(null);
  const made = useRef<Editor | null>(null);
  const [typed, setTyped] = useState(plain(view));
  const [name, setName] = useState("");
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const changed = typed.trim() !== plain(view);

  async function ask() {
    const sql = made.current!.text();
    if (!sql.trim() || busy) return;
    setBusy(true);
    setFailure(null);
    made.current!.underline(null);
    try {
      const answer = await host.call("ask", { sql, name: view?.name ?? (name.trim() || null) });
      say(`${answer.name} answered ${answer.total} rows.`);
      asked(answer);
    } catch (error) {
      const refused = asFailure(error);
      setFailure(refused);
      made.current?.underline(refused);
      made.current?.focus();
    } finally {
      setBusy(false);
    }
  }

  const now = useRef({ ask, leave: props.leave });
  now.current = { ask, leave: props.leave };
  useEffect(() => {
    const root = box.current!.getRootNode() as ShadowRoot;
    const change = (text: string) => {
      setTyped(text);
      setFailure(null);
    };
    made.current = editor(box.current!, root, plain(view), project, {
      ask: () => void now.current.ask(), change, leave: () => now.current.leave(),
    });
    if (!view) made.current.focus();
    return () => made.current!.gone();
  }, [project]);
  useEffect(() => {
    if (view) made.current?.put(plain(view));
  }, [view?.sql]);
  useKeys("A query", { edit: () => made.current?.focus() });

  return (
    <section class="card sql-box" aria-label="SQL">
      <div class="sql-head">
        <h2>{view ? "SQL" : "New query"}</h2>
        {!view && (
          <label class="sql-name">Name <input value={name} onInput={(event) => setName(event.currentTarget.value)} placeholder="query" autocomplete="off" /></label>
        )}
        {view && changed && (
          <button type="button" class="link" onClick={() => made.current!.put(plain(view))}>Undo the changes</button>
        )}
        <button type="button" class={`button${changed ? " main" : ""}`} disabled={busy || !typed.trim()} onClick={() => void ask()}>
          {busy ? "Asking…" : "Ask"}
        </button>
      </div>
      <div ref={box} class="editor" />
      {failure && <FailureBox failure={failure.line === null ? failure : { ...failure, where: null, fragment: null }} />}
    </section>
  );
}

/** A query's text without what project files put around it. */
const plain = (view: QueryView | null): string => view?.sql.trim() ?? "";
