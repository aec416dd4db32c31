/** What came of a run: its effect first, then the answers, what the records share, the records, and what to do next. */

import { useEffect, useRef } from "preact/hooks";

import { Link, useAnswer, useHost } from "../context";
import { FailureBox } from "../failure";
import { moment } from "../format";
import { useTray } from "../query/tray";
import type { RunView } from "../types";
import { Afterwards } from "./Afterwards";
import { Going, KeptBar, useAgain } from "./Again";
import { Changed } from "./Changes";
import { Exports } from "./Exports";
import { Outcome, Rounds } from "./Outcome";
import { Patterns } from "./Patterns";
import { useRecords, type Wanted } from "./ranked";
import { Records } from "./Records";
import { Trail } from "./Trail";

export function RunScreen({ id }: { id: string }) {
  const host = useHost();
  const { answer: run, failure, again } = useAnswer("run", { id });
  useEffect(() => {
    if (run) host.seen?.(run);
  }, [host, run]);
  if (failure) {
    return (
      <article class="run">
        <h1>Run {id}</h1>
        <FailureBox failure={failure} again={again} />
        <p class="actions"><Link to={{ screen: "runs" }} class="button">All runs</Link></p>
      </article>
    );
  }
  if (!run) return <p class="quiet waiting" role="status">Loading…</p>;
  return host.mode === "report" ? <Told run={run} /> : <Finished run={run} />;
}

/** A run in the session: it can be asked, gone on with, and taken home. */
function Finished({ run }: { run: RunView }) {
  const tray = useTray();
  const records = useRecords(run.id, run.kept);
  const again = useAgain(run);
  const box = useRef<HTMLElement>(null);
  const narrow = (to: Partial<Wanted>) => {
    records.ask({ text: "", kept: null, pattern: null, ...to });
    const title = box.current?.querySelector<HTMLElement>("#records-title");
    title?.scrollIntoView({ block: "start" });
    title?.focus({ preventScroll: true });
  };
  return (
    <article class="run" ref={box}>
      <div class="run-top">
        <Trail here={`Run of ${moment(run.at)}`} />
        <span class="actions">
          {again && <button type="button" class="button" disabled={tray.going !== null} onClick={again}>Run again</button>}
          <Exports run={run} />
        </span>
      </div>
      <Going />
      <Outcome run={run} />
      {run.changes.map((change, at) => <Changed key={at} change={change} />)}
      <Patterns
        run={run} fix={({ index }) => tray.start("fix_pattern", { id: run.id, pattern: index })}
        show={({ index }) => narrow({ pattern: index })}
      />
      <Records run={run} records={records} />
      <KeptBar run={run} kept={records.kept} show={() => narrow({ kept: true })} />
      <Afterwards run={run} />
      <Rounds run={run} />
    </article>
  );
}

/** A run in a file: the same to be read and printed, with nothing to ask. */
function Told({ run }: { run: RunView }) {
  const records = useRecords(run.id, run.kept);
  return (
    <article class="run">
      <Outcome run={run} />
      {run.changes.map((change, at) => <Changed key={at} change={change} />)}
      <Patterns run={run} />
      <Afterwards run={run} />
      <Rounds run={run} />
      <Records run={run} records={records} />
    </article>
  );
}
