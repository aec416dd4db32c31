/** What a run did: its effect in a sentence, what speaks against it, and each complaint before and after. */

import { Link, useHost } from "../context";
import { count, moment, number, seconds, text } from "../format";
import { Table, type TableColumn } from "../Table";
import type { AnswerColumn, RunView, Standing } from "../types";
import { Marked } from "./Marked";
import { fixed, markOf, stateOf } from "./words";

export function Outcome({ run }: { run: RunView }) {
  const report = useHost().mode === "report";
  return (
    <section class="outcome" aria-labelledby="outcome">
      {run.doubt && <p class="doubt" role="note">{run.doubt}</p>}
      <h1 id="outcome">{run.sentence}</h1>
      {run.pattern && <p class="shared"><strong>In common:</strong> {run.pattern}</p>}
      <p class="facts quiet">
        <Marked mark={stateOf(run)} />
        {!run.met && <span>Stopped: {run.stopped}</span>}
        <span>{count(run.rounds.length, "round")}</span>
        <span>{seconds(run.seconds)}</span>
        {report && <time dateTime={run.at}>{moment(run.at)}</time>}
      </p>
      {run.warnings.length > 0 && (
        <ul class="warnings" aria-label="Warnings">
          {run.warnings.map((line) => <li key={line}>{line}</li>)}
        </ul>
      )}
      {run.standings.length > 0 && (
        <ul class="standings" aria-label="Complaints, before and after">
          {run.standings.map((standing, at) => <li key={at}><Stood run={run} standing={standing} /></li>)}
        </ul>
      )}
    </section>
  );
}

function Stood({ run, standing }: { run: RunView; standing: Standing }) {
  const report = useHost().mode === "report";
  const query = standing.place?.query;
  const column = columnOf(run, standing);
  const said = (value: Standing["before"]) => text(value, column?.kind ?? "number", column?.whole);
  return (
    <>
      <span class="stood-what">
        {standing.text}
        {query && <span class="quiet"> in {report ? query : <Link to={{ screen: "query", name: query }}>{query}</Link>}</span>}
      </span>
      <span class="stood-values">
        <span class="quiet"><span class="spoken">before </span>{said(standing.before)}</span>
        <span class="quiet" aria-hidden="true">→</span>
        <strong><span class="spoken">after </span>{said(standing.after)}</strong>
      </span>
      <Marked mark={markOf(standing)} />
    </>
  );
}

/** The column of the answer that a complaint is about. */
function columnOf(run: RunView, standing: Standing): AnswerColumn | undefined {
  const change = run.changes.find((each) => each.query === standing.query);
  return change?.columns.find((column) => column.name === standing.place?.column);
}

/** How it went, round by round; and how many records of each model were fixed. */
export function Rounds({ run }: { run: RunView }) {
  type Round = RunView["rounds"][number];
  if (!run.rounds.length) return null;
  const done = fixed(run);
  const columns: TableColumn<Round>[] = [
    { name: "number", head: "Round", kind: "number", whole: true, value: (row) => row.number },
    { name: "removed", head: `Records ${done}`, kind: "number", whole: true, value: (row) => row.removed },
    ...run.standings.map((standing, at): TableColumn<Round> => (
      { name: `${at}`, head: standing.text, kind: "number", value: (row) => row.values[at] ?? null }
    )),
    { name: "q", head: "Still missed", kind: "number", value: (row) => row.q },
  ];
  const models = run.models.map((model) => `${model.name}: ${number(model.removed)} of ${count(model.records, "record")} ${done}`);
  return (
    <details class="rounds">
      <summary>How it went: {count(run.rounds.length, "round")}, until {run.stopped}</summary>
      <Table caption="Rounds" columns={columns} rows={run.rounds} />
      <p class="quiet">{models.join("; ")}.</p>
    </details>
  );
}
