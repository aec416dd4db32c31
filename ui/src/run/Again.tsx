/** The next run from this one: the same complaints, without fixing the records that were kept. */

import { useEffect, useRef } from "preact/hooks";

import { FailureBox } from "../failure";
import { count, number } from "../format";
import { RunCard } from "../query/RunCard";
import { useTray } from "../query/tray";
import type { RunView } from "../types";

/** What starts it: what this run spared is spared again. null where nobody can: the complaints were not made here. */
export function useAgain(run: RunView): (() => void) | null {
  const tray = useTray();
  if (!run.request.complaints.length) return null;
  return () => tray.start("debug", { ...run.request, keep_of: run.id });
}

/** The run that goes on, or why the last one failed. */
export function Going() {
  const { going, failure, note } = useTray();
  const said = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (failure || note) said.current?.focus();
  }, [failure, note]);
  if (going) return <RunCard going={going} />;
  if (!failure && !note) return null;
  return (
    <div ref={said} tabIndex={-1}>
      {failure ? <FailureBox failure={failure} /> : <p class="note" role="status">{note}</p>}
    </div>
  );
}

/** How many records are kept, always in sight, and the run that spares them. */
export function KeptBar({ run, kept, show }: { run: RunView; kept: number; show(): void }) {
  const { going } = useTray();
  const again = useAgain(run);
  if (!kept) return null;
  return (
    <section class="card kept-bar" aria-label="Kept records">
      <p><strong>{count(kept, "record")} kept</strong> <span class="quiet">of {number(run.records)}</span></p>
      <span class="actions">
        <button type="button" class="button" onClick={show}>Show {kept === 1 ? "it" : "them"}</button>
        {again && (
          <button type="button" class="button main" disabled={going !== null} onClick={again}>
            Run again without fixing {kept === 1 ? "it" : "them"}
          </button>
        )}
      </span>
    </section>
  );
}
