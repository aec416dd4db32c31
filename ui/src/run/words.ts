/** What the screens after a run say, in words. */

import { count, percent } from "../format";
import type { Pattern, RunHead, RunView, Standing } from "../types";

/** How a thing stands: its word, and the tone that its sign is drawn in. */
export interface Mark { text: string; tone: "good" | "bad" | "neither" }

export function stateOf(run: RunHead): Mark {
  if (run.state === "failed") return { text: "Failed", tone: "bad" };
  const one = run.complaints.length === 1;
  const met = one ? "complaint met" : "every complaint met";
  const unmet = one ? "complaint not met" : "not every complaint met";
  const words = run.met ? met : unmet;
  if (run.state === "interrupted") return { text: `Interrupted, ${words}`, tone: "neither" };
  return { text: words[0]!.toUpperCase() + words.slice(1), tone: run.met ? "good" : "bad" };
}

export function markOf(standing: Standing): Mark {
  if (standing.resolved) return { text: "resolved", tone: "good" };
  return standing.met ? { text: "moved as asked", tone: "good" } : { text: "not resolved", tone: "bad" };
}

/** What a run does to its records: "removed" where it removes them all. */
export function fixed(run: RunView): string {
  return (run.request.settings.fix ?? "delete") === "delete" ? "removed" : "fixed";
}

/** How a pattern fits the records that were fixed. */
export function fitOf(pattern: Pattern, run: RunView): string {
  const done = fixed(run);
  const every = pattern.records === 1 ? "the one record" : `${pattern.within < 1 ? "" : "all "}${count(pattern.records, "record")}`;
  const within = pattern.within < 1 ? `${percent(pattern.within)} of the ${every} like this were too` : `${every} like this were`;
  return `${percent(pattern.covers)} of the ${done} records are like this; ${within}.`;
}

/** How much nearer the expected answer comes to what was asked when all records of a pattern are fixed; "" if unknown. */
export function effectOf({ estimated, verified }: Pattern, run: RunView): string {
  const missed = run.rounds[0]?.q ?? 0;
  if (missed <= 0) return "";
  const nearer = (change: number) => `${percent(Math.abs(change) / missed)} ${change <= 0 ? "nearer to" : "farther from"} what was asked`;
  if (verified === null) return estimated === null ? "" : `Foreseen, not tried: in expectation ${nearer(estimated)}.`;
  const foreseen = estimated === null ? "" : ` (foreseen: ${percent(Math.abs(estimated) / missed)})`;
  return `Tried by retraining: in expectation ${nearer(verified)}${foreseen}.`;
}
