/** The points of a chart: which cells of an answer are drawn, in which series, under which words. */

import { text } from "../format";
import type { Chart, Column, Value } from "../types";

/** The rows of one state of an answer; null where a row is not there in this state. */
export interface Layer { name: string; rows: (Value[] | null)[] }

/** A cell that is drawn. */
export interface Mark { layer: number; row: number; column: string }

export interface Point extends Mark {
  series: number;
  /** As it is placed: milliseconds on a time axis, a number, or the text of a category. */
  x: number | string;
  y: number | null;
  /** Its cell's words: "2026-11-09". */
  at: string;
}

export interface Series {
  name: string;
  column: string;
  /** The colour column's value, where there is one: the rows that belong to it. */
  value: Value;
}

export interface Drawing {
  series: Series[];
  points: Point[];
  /** The categories of an axis that is not continuous, in the answer's order. */
  order: string[];
  /** More series than are told apart are left out of the picture; the table has them. */
  left_out: number;
}

export const MOST_SERIES = 12;

export interface Columned extends Column { whole?: boolean; key?: boolean }

export function drawing(chart: Chart, columns: Columned[], layers: Layer[]): Drawing {
  const at = (name: string | null) => (name === null ? -1 : columns.findIndex((each) => each.name === name));
  const x = at(chart.x), color = at(chart.color);
  const kind = columns[x]?.kind ?? "other";
  const all = seriesOf(chart, columns, layers, color);
  const series = all.slice(0, MOST_SERIES);
  const found = new Map(series.map((each, i) => [nameOf(each.column, each.value), i]));
  const points: Point[] = [];
  const order = new Set<string>();
  layers.forEach(({ rows }, layer) => {
    rows.forEach((row, index) => {
      if (!row) return;
      const said = x < 0 ? "" : text(row[x], kind);
      const spot = placed(row[x] ?? null, said, chart.scale);
      if (spot === null) return;
      for (const column of chart.y) {
        const mine = found.get(nameOf(column, color < 0 ? null : (row[color] ?? null)));
        if (mine === undefined) continue;
        if (chart.scale === "order") order.add(said);
        const value = row[at(column)];
        const y = value === null || value === undefined || value === "" ? null : Number(value);
        points.push({ layer, row: index, column, series: mine, x: spot, y: y !== null && Number.isFinite(y) ? y : null, at: said });
      }
    });
  });
  return { series, points, order: [...order], left_out: all.length - series.length };
}

const nameOf = (column: string, value: Value) => JSON.stringify([column, value]);

function seriesOf(chart: Chart, columns: Columned[], layers: Layer[], color: number): Series[] {
  if (color < 0) return chart.y.map((column) => ({ name: column, column, value: null }));
  const values = new Map<string, Value>();
  for (const { rows } of layers) for (const row of rows) if (row) values.set(JSON.stringify(row[color] ?? null), row[color] ?? null);
  return chart.y.flatMap((column) =>
    [...values.values()].map((value) => {
      const said = text(value, columns[color]!.kind);
      return { name: chart.y.length > 1 ? `${column}, ${said}` : said, column, value };
    }),
  );
}

function placed(value: Value, said: string, scale: Chart["scale"]): number | string | null {
  if (scale === "order") return said;
  const spot = scale === "time" ? Date.parse(withZone(String(value))) : Number(value);
  return value === null || Number.isNaN(spot) ? null : spot;
}

/** Times without a zone are read as UTC, everywhere the same. */
function withZone(value: string): string {
  const iso = value.replace(" ", "T");
  return /^\d{4}-\d{2}-\d{2}$/.test(iso) || /[zZ]$|[+-]\d{2}:?\d{2}$/.test(iso) ? iso : `${iso}Z`;
}

/** A point in words: "2026-11-09, n: 48"; a scatter's names its row too: "id 3, tenure 21.4, risk: 0.52". */
export function wordsOf(point: Point, chart: Chart, series: Series[], columns: Columned[], layers: Layer[]): string {
  const row = layers[point.layer]!.rows[point.row]!;
  const value = columns.find((each) => each.name === point.column)!;
  const said = columns.flatMap((each, at) =>
    each.key && each.name !== chart.x && each.name !== chart.color ? [`${each.name} ${text(row[at], each.kind)}`] : []);
  if (point.at) said.push(chart.type === "scatter" ? `${chart.x} ${point.at}` : point.at);
  const state = layers.length > 1 ? ` ${layers[point.layer]!.name}` : "";
  const named = series.length > 1 ? series[point.series]!.name : point.column;
  return `${[...said, named].join(", ")}${state}: ${text(point.y, "number", value.whole)}`;
}

/** What the value axis spans: all of the numbers, and nought where bars stand on it or where it is near. */
export function span(chart: Chart, numbers: number[]): [number, number] {
  const low = Math.min(...numbers), high = Math.max(...numbers);
  if (!numbers.length) return [0, 1];
  if (chart.type === "bar") return low === high && low === 0 ? [0, 1] : [Math.min(0, low), Math.max(0, high)];
  if (low === high) return low === 0 ? [-1, 1] : [Math.min(0, 2 * low), Math.max(0, 2 * low)];
  if (chart.type === "scatter") return [low, high];
  return [low > 0 && low < 0.75 * high ? 0 : low, high < 0 && high > 0.75 * low ? 0 : high];
}
