/** One training record: what it says, what it moves, and which others look like it. */

import { useHost, useView, useAnswer } from "../context";
import { FailureBox } from "../failure";
import { Cell } from "../Table";
import { Trail } from "./Trail";
import { SentRows } from "./Whole";

export function RecordScreen({ model, record }: { model: string; record: string }) {
  const { router, project } = useView();
  const key = project?.models.find((each) => each.name === model)?.key;
  const report = useHost().mode === "report";
  const { answer, failure, again } = useAnswer("record", { model, key: record });
  return (
    <article class="record" aria-labelledby="record-title">
      {!report && <Trail here={`Record ${record}`} />}
      <h1 id="record-title">Record {record} <span class="quiet">of {model}</span></h1>
      {failure && <FailureBox failure={failure} again={again} />}
      {!answer && !failure && <p class="quiet waiting" role="status">Looking at what it moves…</p>}
      {answer && (
        <>
          <section class="card" aria-labelledby="values-title">
            <h2 id="values-title">What it says</h2>
            <dl class="values">
              <div class="label"><dt>Label</dt><dd><Cell value={answer.label} kind="text" /></dd></div>
              {answer.columns.map((column, at) => (
                <div key={column.name}>
                  <dt>{column.name}</dt>
                  <dd><Cell value={answer.values[at] ?? null} kind={column.name === key ? "text" : column.kind} /></dd>
                </div>
              ))}
            </dl>
          </section>
          <section class="parts" aria-label="What it has to do with the answers">
            <SentRows title="Cells that it moves most" rows={answer.cells} />
            <SentRows title="Queried rows whose prediction it moves most" rows={answer.rows} />
            <SentRows title="Records that look like it" rows={answer.alike} model={answer.model} />
          </section>
        </>
      )}
      <p class="actions"><button type="button" class="button" onClick={() => router.back()}>Back</button></p>
    </article>
  );
}
