/** One stop for Tab in a field of many buttons; the arrows, Home and End go between them. */

import type { RefObject } from "preact";
import { useCallback, useEffect } from "preact/hooks";

import { KEYS, hits } from "./keys";

const keys = KEYS["A chart or a table"];

/**
 * A listener for the field's keydown. Its buttons carry `data-at="ROW,COLUMN"`: left and right go along a row, up and
 * down to the nearest button of the row above and below. `shown` changes whenever the buttons do.
 */
export function useRoving(field: RefObject<HTMLElement | null>, shown: unknown): (event: KeyboardEvent) => void {
  // One button can be tabbed to: the one that is chosen, or that was last used, or else the first.
  useEffect(() => {
    const all = buttons(field.current);
    const stop = all.find((each) => each.classList.contains("chosen")) ?? all.find((each) => each.tabIndex === 0) ?? all[0];
    for (const each of all) each.tabIndex = each === stop ? 0 : -1;
  }, [shown]);
  return useCallback((event: KeyboardEvent) => {
    const from = event.target as HTMLElement;
    if (!from.dataset?.at || event.altKey || event.shiftKey) return;
    const all = buttons(field.current);
    const to = target(all, from, event);
    if (!to) return;
    event.preventDefault();
    enter(all, to);
  }, []);
}

export function enter(all: HTMLElement[], to: HTMLElement): void {
  for (const each of all) each.tabIndex = each === to ? 0 : -1;
  to.focus();
}

export function buttons(field: HTMLElement | null): HTMLElement[] {
  return field ? [...field.querySelectorAll<HTMLElement>("[data-at]")] : [];
}

const place = (each: HTMLElement): [number, number] => {
  const [row, column] = each.dataset.at!.split(",").map(Number);
  return [row!, column!];
};

function target(all: HTMLElement[], from: HTMLElement, event: KeyboardEvent): HTMLElement | undefined {
  const [row, column] = place(from);
  const same = all.filter((each) => place(each)[0] === row);
  if (hits(event, keys.first)) return same[0];
  if (hits(event, keys.last)) return same[same.length - 1];
  const at = same.indexOf(from);
  if (hits(event, keys.next)) return same[at + 1] ?? from;
  if (hits(event, keys.previous)) return same[at - 1] ?? from;
  const step = hits(event, keys.up) ? -1 : hits(event, keys.down) ? 1 : 0;
  if (!step) return undefined;
  const rows = [...new Set(all.map((each) => place(each)[0]))].sort((a, b) => a - b);
  const next = rows[rows.indexOf(row) + step];
  if (next === undefined) return from;
  return all
    .filter((each) => place(each)[0] === next)
    .reduce((best, each) => (Math.abs(place(each)[1] - column) < Math.abs(place(best)[1] - column) ? each : best));
}
