/** What the fixed records have in common, as cards: in words first, then as SQL, then what fixing them all does. */

import { useState } from "preact/hooks";

import { count, text } from "../format";
import type { Pattern, RunView } from "../types";
import { SaveForm } from "./Exports";
import { effectOf, fitOf } from "./words";

interface Acts {
  run: RunView;
  /** Left out where nothing can be asked: a saved report. */
  fix?(pattern: Pattern): void;
  show?(pattern: Pattern): void;
}

export function Patterns(props: Acts) {
  const { run } = props;
  if (!run.patterns.length) {
    return run.removed ? (
      <section class="patterns" aria-labelledby="patterns-title">
        <h2 id="patterns-title">What they have in common</h2>
        <p class="quiet">Nothing that tells them from the other records.</p>
      </section>
    ) : null;
  }
  return (
    <section class="patterns" aria-labelledby="patterns-title">
      <h2 id="patterns-title">What they have in common</h2>
      <ul class="cards">
        {run.patterns.map((pattern) => <li key={pattern.index}><Card {...props} pattern={pattern} /></li>)}
      </ul>
    </section>
  );
}

function Card({ run, pattern, fix, show }: Acts & { pattern: Pattern }) {
  const [check, setCheck] = useState(false);
  const effect = effectOf(pattern, run);
  return (
    <article class="card pattern" aria-label={`Pattern: ${pattern.words}`}>
      <h3>{sentence(pattern.words)}</h3>
      <pre class="sql">{pattern.sql}</pre>
      <p>{fitOf(pattern, run)}</p>
      {run.models.length > 1 && <p class="quiet">Records of {pattern.model}.</p>}
      {(effect || pattern.cells.length > 0) && (
        <div class="effect">
          <p>Fixing all {count(pattern.records, "record")}, without looking at each:</p>
          {pattern.cells.length > 0 && (
            <ul>
              {run.standings.map((standing, at) => (
                <li key={at}>
                  <span class="quiet">{standing.text}:</span>{" "}
                  {text(standing.before)} <span aria-label="to">→</span> <strong>{text(pattern.cells[at])}</strong>
                </li>
              ))}
            </ul>
          )}
          {effect && <p class="quiet">{effect}</p>}
        </div>
      )}
      {fix && show && (
        <div class="actions">
          {run.live && <button type="button" class="button" onClick={() => fix(pattern)}>Fix by this pattern</button>}
          <button type="button" class="button" onClick={() => show(pattern)}>Show its records</button>
          <button type="button" class="button" aria-expanded={check} onClick={() => setCheck(!check)}>As a data check…</button>
        </div>
      )}
      {check && (
        <SaveForm
          run={run} format="check" pattern={pattern.index} table={pattern.model}
          says="A check that keeps such records out of the table from now on: SQL that finds them."
          close={() => setCheck(false)}
        />
      )}
    </article>
  );
}

function sentence(words: string): string {
  return words ? words[0]!.toUpperCase() + words.slice(1) : words;
}
