/** Every run so far, the newest first, a page at a time. */

import { useState } from "preact/hooks";

import { Link, useAnswer } from "../context";
import { FailureBox } from "../failure";
import { count, moment, seconds } from "../format";
import { PAGE, Pager } from "../Table";
import type { RunHead } from "../types";
import { Marked } from "./Marked";
import { stateOf } from "./words";

export function RunsScreen() {
  const [offset, setOffset] = useState(0);
  const { answer, failure, again, busy } = useAnswer("runs", { offset, limit: PAGE });
  return (
    <section class="runs" aria-labelledby="runs-title" aria-busy={busy}>
      <h1 id="runs-title">Runs</h1>
      {failure && <FailureBox failure={failure} again={again} />}
      {!answer && !failure && <p class="quiet waiting" role="status">Loading…</p>}
      {answer && !answer.total && (
        <div class="card nothing">
          <p>No run yet.</p>
          <p class="quiet">Click the point of a chart that looks wrong, say what is wrong with it, and run.</p>
          <Link to={{ screen: "home" }} class="button main">Go to the queries</Link>
        </div>
      )}
      {answer && answer.total > 0 && (
        <>
          <p class="quiet">{count(answer.total, "run")}, the newest first.</p>
          <ol class="run-list">{answer.runs.map((run) => <li key={run.id}><Run run={run} /></li>)}</ol>
          {answer.total > answer.runs.length && (
            <Pager of="runs" offset={offset} shown={answer.runs.length} total={answer.total} go={setOffset} />
          )}
        </>
      )}
    </section>
  );
}

function Run({ run }: { run: RunHead }) {
  return (
    <article class="card run-head">
      <h2><Link to={{ screen: "run", id: run.id }}>{run.sentence || `Run ${run.id}`}</Link></h2>
      <p class="facts quiet">
        <Marked mark={stateOf(run)} />
        <time dateTime={run.at}>{moment(run.at)}</time>
        <span>{count(run.complaints.length, "complaint")}</span>
        <span>{count(run.removed, "record")} fixed</span>
        <span>{seconds(run.seconds)}</span>
      </p>
      {(run.state === "failed" || !run.sentence) && (
        <ul class="asked quiet" aria-label="Complaints">
          {run.complaints.slice(0, MOST).map((each) => <li key={each}>{each}</li>)}
          {run.complaints.length > MOST && <li>and {run.complaints.length - MOST} more</li>}
        </ul>
      )}
    </article>
  );
}

const MOST = 4;
