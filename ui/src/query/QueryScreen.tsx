/** A query: its answer, the complaint about a place of it, its SQL, and what is behind the place. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useAnswer, useGo, useProject, useView } from "../context";
import { FailureBox } from "../failure";
import { count } from "../format";
import { useKeys } from "../keys";
import type { QueryView } from "../types";
import { AnswerChart, AnswerFigures, AnswerTable, isFigures } from "./Answer";
import { Behind, type What } from "./Behind";
import { samePlace, type Picked } from "./claims";
import { ComplaintForm } from "./ComplaintForm";
import { QueryList } from "./QueryList";
import { RunCard } from "./RunCard";
import { SqlBox } from "./SqlBox";
import { useTray } from "./tray";
import { TrayCard } from "./TrayCard";

/** `name` null: the project's first query, or with `blank` one that is still to be typed. */
export function QueryScreen({ name, blank }: { name: string | null; blank?: boolean }) {
  const project = useProject()!;
  const shown = blank ? null : (name ?? project.queries[0]?.name ?? null);
  return (
    <div class="query-screen">
      <QueryList current={shown} />
      {shown === null ? <NewQuery empty={!project.queries.length && !blank} /> : <Shown name={shown} />}
    </div>
  );
}

function NewQuery({ empty }: { empty: boolean }) {
  const { refresh } = useView();
  const go = useGo();
  const asked = async (view: QueryView) => {
    await refresh();
    go({ screen: "query", name: view.name });
  };
  return (
    <>
      <div class="query-answer">
        {empty && <p class="quiet">The project has no query yet: type one.</p>}
        <SqlBox view={null} asked={(view) => void asked(view)} leave={() => go({ screen: "home" })} />
      </div>
      <Side shown={null} />
    </>
  );
}

function Shown({ name }: { name: string }) {
  const { answer: view, failure, busy, put } = useAnswer("query", { name });
  const [table, setTable] = useState(false);
  const [picked, setPicked] = useState<Picked | null>(null);
  const [against, setAgainst] = useState<Picked | null>(null);
  const [pairing, setPairing] = useState(false);
  const [behind, setBehind] = useState<What | null>(null);
  const answer = useRef<HTMLElement>(null);

  const reset = () => {
    setPicked(null);
    setAgainst(null);
    setPairing(false);
  };
  const pick = (next: Picked) => {
    if (pairing && next.says === "value" && !samePlace(next.place, picked?.place)) {
      setAgainst(next);
      setPairing(false);
      return;
    }
    if (!samePlace(next.place, picked?.place)) setBehind(null);
    setAgainst(null);
    setPairing(false);
    setPicked(next);
  };
  /** Back to the place in the chart or table: from there the arrows lead to the next one. */
  const back = () => (answer.current?.querySelector<HTMLElement>("[data-at].chosen") ?? answer.current?.querySelector<HTMLElement>("[data-at][tabindex='0']"))?.focus();
  const close = () => {
    back();
    reset();
  };
  useKeys("A query", {
    flip: () => view && (view.chart.type !== "table" || isFigures(view)) && setTable(!table),
    behind: () => picked && !picked.missing && setBehind(behind ? null : "rows"),
  });
  useKeys("Everywhere", { close: () => (behind ? (setBehind(null), back()) : picked && close()) });
  useEffect(reset, [name]);

  if (failure) return <div class="query-answer"><FailureBox failure={failure} /></div>;
  if (!view) return <p class="query-answer quiet waiting" role="status">{busy ? "Asking…" : ""}</p>;
  const figures = isFigures(view);
  const asTable = figures ? table : table || view.chart.type === "table";
  const flips = figures || view.chart.type !== "table";
  const asked = (next: QueryView) => {
    reset();
    setBehind(null);
    put(next);
  };
  return (
    <>
      <section class="query-answer" aria-labelledby="query-name" ref={answer}>
        <div class="query-answer-head">
          <h1 id="query-name">{view.name}</h1>
          <span class="quiet note">{count(view.total, "row")}</span>
          {flips && (
            <div class="switch" role="group" aria-label="Shown as">
              <button type="button" aria-pressed={!asTable} onClick={() => setTable(false)}>{figures ? "Number" : "Chart"}</button>
              <button type="button" aria-pressed={asTable} onClick={() => setTable(true)}>Table</button>
            </div>
          )}
        </div>
        {view.refused !== null
          ? <p class="refused note">{view.refused}</p>
          : <p class="quiet note hint">{pairing ? "Pick the one that it should equal." : `Click ${asTable ? "a value" : figures ? "a number" : "a point"} that looks wrong, and say what is wrong with it.`}</p>}
        <div class={asTable ? undefined : "card picture"}>
          {asTable ? <AnswerTable view={view} picked={picked} pick={pick} />
            : figures ? <AnswerFigures view={view} picked={picked} pick={pick} />
              : <AnswerChart view={view} picked={picked} pick={pick} />}
        </div>
      </section>
      <Side shown={view}>
        {picked !== null && (
          <ComplaintForm
            key={JSON.stringify(picked.place)} view={view} picked={picked} against={against} pairing={pairing} pair={setPairing}
            behind={setBehind} close={close}
          />
        )}
      </Side>
      <div class="below">
        {picked && behind && <Behind place={picked.place} what={behind} show={setBehind} close={() => { setBehind(null); back(); }} />}
        <SqlBox view={view} asked={asked} leave={back} />
      </div>
    </>
  );
}

/** Beside the answer: the complaint, then what was collected; or the run that goes on. */
function Side({ shown, children }: { shown: QueryView | null; children?: ComponentChildren }) {
  const { going, items, failure, note } = useTray();
  const nothing = !children && !items.length && !failure && !note;
  return (
    <div class="side">
      {going ? <RunCard going={going} /> : <>{children}<TrayCard here={shown?.name ?? null} /></>}
      {!going && nothing && shown?.refused === null && <Steps />}
    </div>
  );
}

function Steps() {
  return (
    <ol class="steps">
      <li><b>Click what looks wrong:</b> a point, a bar, a cell, a legend entry or a total.</li>
      <li><b>Say what is wrong with it:</b> too low, should be 90, should not be here. Collect as many as you like, from any query.</li>
      <li><b>Run:</b> Rain finds the training records behind it, and shows the answer without them.</li>
    </ol>
  );
}
