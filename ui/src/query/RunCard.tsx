/** A run that goes on: how far it is, where each complaint stands, and the way to stop it. */

import { useEffect, useRef, useState } from "preact/hooks";

import { count, number, seconds, text } from "../format";
import type { Standing } from "../types";
import { useTray, type Going } from "./tray";

export function RunCard({ going }: { going: Going }) {
  const { cancel } = useTray();
  const card = useRef<HTMLElement>(null);
  const clock = useClock();
  useEffect(() => card.current?.focus(), []);
  const met = going.standings.filter((each) => each.met).length;
  return (
    <section class="card going" aria-label="The run" ref={card} tabIndex={-1}>
      <div class="going-head">
        <h2>{going.cancelling ? "Stopping…" : "Looking for the records"}</h2>
        <span class="quiet note">{seconds(Math.max(clock, going.seconds))}</span>
      </div>
      <progress
        max={going.budget || 1} value={going.rounds ? going.removed : undefined}
        aria-label={`${going.removed} of at most ${going.budget} records fixed`}
      />
      <p class="quiet note">
        {going.rounds
          ? `Round ${going.rounds}: ${count(going.removed, "record")} fixed, of at most ${number(going.budget)}`
          : going.doing}
        {going.standings.length > 0 && `. ${met} of ${going.standings.length} met.`}
      </p>
      <ul class="going-standings">
        {going.standings.map((each, i) => <StandingLine key={i} standing={each} />)}
      </ul>
      <button type="button" class="button" onClick={cancel} disabled={going.cancelling}>Cancel, keep the rounds done</button>
    </section>
  );
}

function StandingLine({ standing: { text: words, before, after, met } }: { standing: Standing }) {
  return (
    <li class={met ? "met" : ""}>
      <span>{words}</span>
      <span class="from-to">
        {text(before, "number")} <span aria-label="to">→</span> <b>{text(after, "number")}</b>{" "}
        <span class={`chip ${met ? "good" : ""}`}>{met ? "met" : "not yet"}</span>
      </span>
    </li>
  );
}

/** Seconds since the run began: it says that something is going on where no event does. */
function useClock(): number {
  const [now, set] = useState(0);
  useEffect(() => {
    const start = performance.now();
    const timer = setInterval(() => set((performance.now() - start) / 1000), 500);
    return () => clearInterval(timer);
  }, []);
  return now;
}
