/** What can be asked of a run once it is done: each takes refits, so nothing is asked before the reader does. */

import { useState } from "preact/hooks";

import { useAnswer, useHost } from "../context";
import { FailureBox } from "../failure";
import type { RunView, Text } from "../types";
import { SentRows } from "./Whole";

const QUESTIONS = [
  { op: "side_effects", ask: "What else changes?", says: "The cells that nobody complained about, largest changes first." },
  { op: "prefix", ask: "Would fewer records do?", says: "The fewest of the first records that resolve every complaint, found by retraining." },
  { op: "forecasts", ask: "Was it foreseen?", says: "What each round was foreseen to change, beside what it did." },
] as const;

type Question = (typeof QUESTIONS)[number];

export function Afterwards({ run }: { run: RunView }) {
  const report = useHost().mode === "report";
  const [asked, setAsked] = useState<readonly Question["op"][]>([]);
  if (report) return <SavedEffects run={run} />;
  if (!run.removed) return null;
  return (
    <section class="afterwards" aria-labelledby="afterwards-title">
      <h2 id="afterwards-title">Before you trust it</h2>
      {!run.live && (
        <p class="note">
          This run is from an earlier session, which took its models along. Run it again to ask these.
        </p>
      )}
      {run.live && (
        <ul class="questions">
          {QUESTIONS.map((question) => (
            <li key={question.op}>
              <button
                type="button" class="button" aria-expanded={asked.includes(question.op)}
                onClick={() => setAsked((was) => (
                  was.includes(question.op) ? was.filter((op) => op !== question.op) : [...was, question.op]
                ))}
              >
                {question.ask}
              </button>
              <span class="quiet">{question.says}</span>
              {asked.includes(question.op) && <Answer run={run} question={question} />}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Answer({ run, question }: { run: RunView; question: Question }) {
  const { answer, failure, again } = useAnswer(question.op, { id: run.id });
  if (failure) return <FailureBox failure={failure} again={again} />;
  if (!answer) return <p class="quiet waiting" role="status">Retraining…</p>;
  return <Said text={answer} />;
}

/** A saved report carries the side effects, if they were asked for. */
function SavedEffects({ run }: { run: RunView }) {
  const { answer } = useAnswer("side_effects", { id: run.id });
  if (!answer) return null;
  return (
    <section class="afterwards" aria-labelledby="afterwards-title">
      <h2 id="afterwards-title">{answer.title}</h2>
      <Said text={answer} />
    </section>
  );
}

function Said({ text }: { text: Text }) {
  return (
    <div class="said" role="status">
      {text.lines.map((line, at) => <p key={at}>{line}</p>)}
      {text.tables.map(({ title, rows }) => <SentRows key={title} title={title} rows={rows} />)}
    </div>
  );
}
