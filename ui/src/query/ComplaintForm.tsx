/** What is said about a place. It opens from what the page knows already; the host only words it. */

import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { asFailure, useHost, useView } from "../context";
import { FailureBox } from "../failure";
import { text } from "../format";
import { hits, KEYS } from "../keys";
import type { Claim, Complaint, Failure, Place, QueryView, Value } from "../types";
import { claimsOf, likely, type ClaimKind, type Picked } from "./claims";
import { useTray } from "./tray";

const PAUSE = 150;

export interface FormProps {
  view: QueryView;
  picked: Picked;
  /** The second place, and whether one is being picked. */
  against: Picked | null;
  pairing: boolean;
  pair(on: boolean): void;
  /** Rows and records behind the place. */
  behind(what: "rows" | "records"): void;
  /** After it was added, or left. */
  close(added: boolean): void;
}

export function ComplaintForm(props: FormProps) {
  const { view, picked, against, pairing, pair, close } = props;
  const { say } = useView();
  const host = useHost();
  const tray = useTray();
  const kinds = useMemo(() => claimsOf(picked), [picked]);
  const [claim, setClaim] = useState<Claim>(() => likely(view, picked));
  const [filled, setFilled] = useState<Partial<Record<Claim, string>>>({});
  const [failure, setFailure] = useState<Failure | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const kind = kinds.find((each) => each.claim === claim) ?? kinds[0]!;
  const complaint = complaintOf(picked, kind, filled[kind.claim] ?? "", against?.place ?? null);
  const line = useWords(complaint);

  // The next key belongs to the claim: the one that is likely is ready, the arrows change it, Enter adds it.
  // Before anything is drawn: a key that follows the click at once must not go to the point.
  useLayoutEffect(() => form.current?.querySelector<HTMLInputElement>("input[type=radio]:checked")?.focus(), [picked]);
  useLayoutEffect(() => {
    if (against) form.current?.querySelector<HTMLButtonElement>("button.main")?.focus();
  }, [against]);
  const choose = (next: ClaimKind) => {
    setClaim(next.claim);
    setFailure(null);
    pair(next.needs === "place");
  };

  async function add(andRun: boolean) {
    if (!complaint) {
      const field = form.current?.querySelector<HTMLElement>(".claim.on input:not([type=radio]), .claim.on select, .claim.on .pairing");
      field?.focus();
      say(kind.needs === "place" ? "Pick the other point in the chart or the table." : "Fill in the value.");
      return;
    }
    try {
      const { text: words, holds } = await host.call("describe", { complaint });
      tray.add(complaint, words, holds);
      say(`Added: ${words}`);
      close(true);
      if (andRun) setTimeout(tray.run);
    } catch (error) {
      setFailure(asFailure(error));
    }
  }

  return (
    <form
      ref={form} class="card complaint" aria-label="Complaint"
      onSubmit={(event) => { event.preventDefault(); void add(false); }}
      onKeyDown={(event) => {
        if (hits(event, KEYS["A query"].ask)) { event.preventDefault(); void add(false); }
        if (hits(event, KEYS.Everywhere.close)) { event.preventDefault(); close(false); }
      }}
    >
      <div class="complaint-head">
        <div>
          <h2>{placeWords(picked.place)}</h2>
          {picked.says !== "row" && picked.value !== null && <p class="complaint-value">{text(picked.value, "number", picked.whole)}</p>}
        </div>
        <button type="button" class="quiet-button" aria-label="Close the complaint" onClick={() => close(false)}>✕</button>
      </div>
      <fieldset>
        <legend class="spoken">What is wrong with it?</legend>
        {kinds.map((each) => (
          <ClaimLine
            key={each.claim} kind={each} on={each === kind} choose={() => choose(each)} picked={picked}
            filled={filled[each.claim] ?? ""} fill={(value) => { choose(each); setFilled({ ...filled, [each.claim]: value }); }}
            against={against} pairing={pairing} pair={() => pair(true)}
          />
        ))}
      </fieldset>
      {failure ? <FailureBox failure={failure} /> : <p class="quiet note complaint-line" aria-live="polite">{line || "\u00a0"}</p>}
      <div class="row">
        <button class="button main">Add complaint</button>
        <button type="button" class="button" onClick={() => void add(true)} disabled={tray.going !== null}>Add and run</button>
      </div>
      {!picked.missing && (
        <div class="row behind-links">
          <button type="button" class="link" onClick={() => props.behind("rows")}>Rows behind it</button>
          <button type="button" class="link" onClick={() => props.behind("records")}>Training records behind it</button>
        </div>
      )}
    </form>
  );
}

function ClaimLine(props: {
  kind: ClaimKind; on: boolean; choose(): void; picked: Picked; filled: string; fill(value: string): void;
  against: Picked | null; pairing: boolean; pair(): void;
}) {
  const { kind, on, picked } = props;
  return (
    <div class={`claim${on ? " on" : ""}`}>
      <label>
        <input type="radio" name="claim" checked={on} onChange={props.choose} />
        {kind.words}
      </label>
      {(kind.needs === "number" || kind.needs === "by") && (on || kind.needs === "number") && (
        <input
          type="number" step="any" inputMode="decimal" value={props.filled} aria-label={kind.needs === "by" ? `${kind.words} by` : kind.words}
          placeholder={kind.needs === "by" ? "by (optional)" : ""} onInput={(event) => props.fill(event.currentTarget.value)}
        />
      )}
      {kind.needs === "class" && (
        <select value={props.filled} aria-label={kind.words} onChange={(event) => props.fill(event.currentTarget.value)}>
          <option value="">which class?</option>
          {picked.classes.map((each, i) => each !== picked.value && <option key={i} value={String(i)}>{text(each)}</option>)}
        </select>
      )}
      {kind.needs === "place" && on && (
        <button type="button" class={`pairing${props.pairing ? " waiting" : ""}`} onClick={props.pair}>
          {props.against && !props.pairing ? placeWords(props.against.place) : "pick the other one in the chart or table"}
        </button>
      )}
    </div>
  );
}

/** The complaint that is filled in; null while something is missing. */
function complaintOf(picked: Picked, kind: ClaimKind, filled: string, against: Place | null): Complaint | null {
  const { claim, needs } = kind;
  const place = claim === "should_exist" || claim === "should_not_exist" ? { ...picked.place, column: null } : picked.place;
  const number = filled.trim() === "" ? null : Number(filled);
  if (needs === "by") return number === null ? { place, claim } : { place, claim, value: number };
  if (needs === "number") return number === null || Number.isNaN(number) ? null : { place, claim, value: number };
  if (needs === "class") return filled === "" ? null : { place, claim, value: picked.classes[Number(filled)] as Value };
  if (needs === "place") return against && { place, claim, against };
  return { place, claim };
}

/** A place in the words that its own values make: "n of week 2026-11-09". */
export function placeWords({ column, where, total }: Place): string {
  const of = Object.entries(where).map(([key, value]) => `${key} ${text(value, "text")}`).join(", ");
  if (column === null) return `The row of ${of}`;
  return `${total ? "Total of " : ""}${column}${of ? ` of ${of}` : ""}`;
}

/** The host's words for a complaint, a moment after it was last changed. */
function useWords(complaint: Complaint | null): string {
  const host = useHost();
  const key = complaint && JSON.stringify(complaint);
  const [words, setWords] = useState("");
  useEffect(() => {
    let mine = true;
    if (!key) return setWords("");
    const timer = setTimeout(() => {
      host.call("describe", { complaint: JSON.parse(key) as Complaint }).then(
        ({ text: said, holds }) => mine && setWords(holds ? `${said}. It holds already, and will be kept so.` : said),
        (error: unknown) => mine && setWords(asFailure(error).message),
      );
    }, PAUSE);
    return () => {
      mine = false;
      clearTimeout(timer);
    };
  }, [host, key]);
  return words;
}
