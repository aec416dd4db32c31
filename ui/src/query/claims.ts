/** What can be said about a place: the claims, their words, and what each needs. */

import type { AnswerColumn, Claim, Complaint, Place, QueryView, Value } from "../types";

export interface ClaimKind {
  claim: Claim;
  words: string;
  /** What is filled in beside it: a number that must be there, one that may be, a class, a second place. */
  needs: "number" | "by" | "class" | "place" | null;
}

const ABOUT_VALUE: ClaimKind[] = [
  { claim: "too_low", words: "Too low", needs: "by" },
  { claim: "too_high", words: "Too high", needs: "by" },
  { claim: "should_be", words: "Should be", needs: "number" },
  { claim: "at_least", words: "At least", needs: "number" },
  { claim: "at_most", words: "At most", needs: "number" },
  { claim: "should_equal", words: "Should equal another", needs: "place" },
  { claim: "is_right", words: "Is right", needs: null },
];
const ABOUT_CLASS: ClaimKind[] = [
  { claim: "should_be", words: "Should be", needs: "class" },
  { claim: "is_right", words: "Is right", needs: null },
];
const ABOUT_ROW: ClaimKind[] = [{ claim: "should_not_exist", words: "This row should not be here", needs: null }];
const MISSING: ClaimKind[] = [{ claim: "should_exist", words: "This row should be here", needs: null }];

/** A place that was picked, with what the page knows of it before the host says more. */
export interface Picked {
  place: Place;
  says: "value" | "class" | "row";
  value: Value;
  classes: Value[];
  whole: boolean;
  /** A row that is not in the answer. */
  missing?: boolean;
}

export function claimsOf({ place, says, missing }: Picked): ClaimKind[] {
  if (missing) return MISSING;
  if (says === "row") return ABOUT_ROW;
  const row = !place.total && Object.keys(place.where).length ? ABOUT_ROW : [];
  return [...(says === "class" ? ABOUT_CLASS : ABOUT_VALUE), ...row];
}

/** The columns whose cells can be complained about. */
export const sayable = (view: QueryView): AnswerColumn[] => view.columns.filter((each) => each.says !== null);

/** What tells a row of the answer from the others. */
export function whereOf(view: QueryView, row: Value[]): Record<string, Value> {
  return Object.fromEntries(view.keys.map((key) => [key, row[view.columns.findIndex((each) => each.name === key)] ?? null]));
}

export function cellOf(view: QueryView, row: Value[], name: string): Picked {
  const at = view.columns.findIndex((each) => each.name === name);
  const column = view.columns[at]!;
  const place = { query: view.name, column: name, where: whereOf(view, row) };
  return { place, says: column.says ?? "row", value: row[at] ?? null, classes: column.classes, whole: column.whole };
}

export function rowOf(view: QueryView, row: Value[]): Picked {
  return { place: { query: view.name, column: null, where: whereOf(view, row) }, says: "row", value: null, classes: [], whole: false };
}

/** The sum of a column over the rows where another has a value, or over all; its value where the page has all rows. */
export function totalOf(view: QueryView, name: string, where: Record<string, Value>): Picked {
  const column = view.columns.find((each) => each.name === name)!;
  const at = view.columns.indexOf(column);
  const tests = Object.entries(where).map(([key, value]) => [view.columns.findIndex((each) => each.name === key), value] as const);
  const rows = view.rows.filter((row) => tests.every(([i, value]) => row[i] === value));
  const value = view.rows.length < view.total ? null : rows.reduce((sum, row) => sum + Number(row[at] ?? 0), 0);
  return { place: { query: view.name, column: name, where, total: true }, says: "value", value, classes: [], whole: column.whole };
}

/** Whether a total over the rows means anything: not for shares and probabilities. */
export function adds(view: QueryView, column: AnswerColumn): boolean {
  if (column.says !== "value" || view.rows.length < 2) return false;
  const at = view.columns.indexOf(column);
  return column.whole || view.rows.some((row) => Math.abs(Number(row[at] ?? 0)) > 1);
}

/** The row of a place in the answer, -1 where it is a total or not among the rows that are here. */
export function indexOf(view: QueryView, place: Place | null): number {
  if (!place || place.total || place.query !== view.name) return -1;
  const tests = Object.entries(place.where).map(([key, value]) => [view.columns.findIndex((each) => each.name === key), value] as const);
  return view.rows.findIndex((row) => tests.every(([i, value]) => row[i] === value));
}

export const samePlace = (a: Place | null | undefined, b: Place | null | undefined): boolean =>
  JSON.stringify(a && [a.query, a.column, a.where, !!a.total]) === JSON.stringify(b && [b.query, b.column, b.where, !!b.total]);

/** The claim that is most likely meant: a point is complained about for standing apart from its neighbours. */
export function likely(view: QueryView, picked: Picked): Claim {
  if (picked.says !== "value") return claimsOf(picked)[0]!.claim;
  const at = view.columns.findIndex((each) => each.name === picked.place.column);
  const numbers = view.rows.map((row) => Number(row[at])).filter(Number.isFinite).sort((a, b) => a - b);
  const middle = numbers[Math.floor(numbers.length / 2)];
  return !picked.place.total && middle !== undefined && Number(picked.value) > middle ? "too_high" : "too_low";
}

/** Numbers that a complaint asks for, so that a chart has room for them. */
export function asked({ claim, value }: Complaint): number | null {
  return typeof value === "number" && ["should_be", "at_least", "at_most"].includes(claim) ? value : null;
}
