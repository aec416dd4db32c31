/** How values read: numbers grouped, dates as people write them, long text folded. */

import type { Column, Value } from "./types";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const NOTHING = "—";
/** Text longer than this is folded. */
export const LONG = 120;

/** `1234567.891` → "1,234,568"; small numbers keep what tells them apart: four significant digits. */
export function number(value: number, asWhole = false): string {
  if (!Number.isFinite(value)) return NOTHING;
  if (asWhole || Number.isInteger(value)) return whole.format(value);
  const size = Math.abs(value);
  if (size >= 1e12 || size < 1e-4) return value.toExponential(3);
  const decimals = size >= 1000 ? 1 : Math.max(0, 3 - Math.floor(Math.log10(size)));
  return new Intl.NumberFormat("en", { maximumFractionDigits: Math.min(decimals, 8) }).format(value);
}

/**
 * How a column's values read. A number that names something is not grouped: 2,026 is no year, and 2,097 no record's id.
 * Its name is all there is to tell it by.
 */
export function reading({ name, kind }: Pick<Column, "name" | "kind">): Column["kind"] {
  return kind === "number" && /(^|[_ ])(id|key|year|nr|no|code|zip)$/i.test(name) ? "text" : kind;
}

/** A value as text on one line; `kind` is its column's. */
export function text(value: Value | undefined, kind: Column["kind"] = "other", asWhole = false): string {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return kind === "text" ? String(value) : number(value, asWhole);
  if (kind === "number" && /^-?\d+$/.test(value)) return value.replace(/\B(?=(\d{3})+$)/g, ",");
  if (kind === "date") return date(value);
  return value === "" ? "(empty)" : value;
}

/** ISO text: a day alone where the time says nothing. */
export function date(value: string): string {
  const found = value.match(/^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2})(:\d{2})?/);
  if (!found) return value;
  return found[2] === "00:00" && (!found[3] || found[3] === ":00") ? found[1]! : `${found[1]} ${found[2]}`;
}

/** A moment of the past, in the reader's own time. */
export function moment(iso: string): string {
  const at = new Date(/[zZ]|[+-]\d{2}:?\d{2}$/.test(iso) ? iso : `${iso}Z`);
  if (Number.isNaN(at.getTime())) return iso;
  return at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

export function seconds(value: number): string {
  if (value < 0.1) return "under 0.1 s";
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 60) return `${Math.round(value)} s`;
  return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** `3, "record"` → "3 records". */
export function count(n: number, what: string, many = `${what}s`): string {
  return `${whole.format(n)} ${n === 1 ? what : many}`;
}

export function percent(share: number): string {
  const value = share * 100;
  return `${value > 0 && value < 1 ? value.toPrecision(1) : value < 100 && value > 99 ? Math.floor(value * 10) / 10 : Math.round(value)}%`;
}

/** The start of a long text; the whole of a short one. */
export function cut(value: string, at = LONG): string {
  return value.length <= at ? value : `${[...value].slice(0, at - 1).join("")}…`;
}
