/** A drawing as a Vega-Lite specification: plain data, no expression of ours in it. */

import type { TopLevelSpec } from "vega-lite";

import type { Chart } from "../types";
import type { Drawing } from "./series";

export interface Looks {
  ink: string;
  quiet: string;
  line: string;
  /** One for each series, and for an answer before and after. */
  series: string[];
  before: string;
  after: string;
}

/** Labels longer than this lie beside bars that run across, where there is room for them. */
const LONG_LABEL = 9;
const MOST_DOTS = 200, MOST_ACROSS = 30, MOST_TICKS = 14;

export const across = (chart: Chart, drawing: Drawing): boolean =>
  chart.type === "bar" && drawing.order.length <= MOST_ACROSS && drawing.order.some((each) => each.length > LONG_LABEL);

export function specification(
  chart: Chart, drawing: Drawing, layers: number, looks: Looks, size: { width: number; height: number },
  domain: [number, number],
): TopLevelSpec {
  const flat = across(chart, drawing);
  const [main, other] = flat ? (["y", "x"] as const) : (["x", "y"] as const);
  const values = drawing.points.map((p) => ({ x: p.x, y: p.y, s: p.series, l: p.layer, k: p.series * layers + p.layer, r: p.row }));
  const positions = {
    [main]: { field: "x", ...mainAxis(chart, drawing, flat, size.width) },
    [other]: {
      field: "y", type: "quantitative", title: null, stack: null,
      axis: { tickCount: flat ? Math.max(2, Math.min(6, Math.floor(size.width / 110))) : 5, domain: false, ticks: false, grid: true, labelPadding: 8 },
      scale: { nice: true, zero: false, domain },
    },
  };
  return {
    width: size.width,
    height: size.height,
    autosize: { type: "fit", contains: "padding" },
    padding: { left: 4, right: 16, top: 10, bottom: 4 },
    background: "transparent",
    aria: false,
    data: { values },
    encoding: { ...positions, ...colours(drawing, layers, looks) },
    layer: marks(chart, drawing, layers, flat),
    config: config(looks),
  } as unknown as TopLevelSpec;
}

function mainAxis(chart: Chart, drawing: Drawing, flat: boolean, width: number): object {
  const axis = { grid: false, ticks: false, domain: !flat, labelPadding: 8, labelOverlap: "parity", labelFlush: false };
  if (chart.scale === "order")
    return { type: "ordinal", sort: drawing.order, title: null, axis: { ...axis, labelAngle: 0, labelLimit: flat ? width * 0.4 : 120 } };
  // Ticks stand where the data does, as far as it has few enough places.
  const places = [...new Set(drawing.points.map((p) => p.x as number))].sort((a, b) => a - b);
  // Said as an expression: Vega's interpreter takes the datetime(…) that Vega-Lite makes of a number for a year.
  const few = places.length <= MOST_TICKS ? { values: { expr: JSON.stringify(places) } } : { tickCount: Math.max(2, Math.floor(width / 110)) };
  if (chart.scale === "time") {
    const format = places.every((each) => each % 86_400_000 === 0) ? "%-d %b" : "%-d %b %H:%M";
    const years = new Set(places.map((each) => new Date(each).getUTCFullYear())).size > 1;
    return {
      type: "temporal", title: null, scale: { type: "utc" },
      axis: { ...axis, ...few, format: years ? `${format} %Y` : format },
    };
  }
  return { type: "quantitative", title: chart.x, scale: { zero: false, nice: chart.type === "scatter" }, axis: { ...axis, ...few } };
}

function colours(drawing: Drawing, layers: number, looks: Looks): object {
  const bySeries = drawing.series.length > 1 || layers === 1;
  const domain = bySeries ? drawing.series.map((_, i) => i) : [0, 1];
  const range = bySeries ? domain.map((i) => looks.series[i % looks.series.length]) : [looks.before, looks.after];
  return {
    color: { field: bySeries ? "s" : "l", type: "nominal", legend: null, scale: { domain, range } },
    detail: [{ field: "s", type: "nominal" }, { field: "l", type: "nominal" }],
  };
}

function marks(chart: Chart, drawing: Drawing, layers: number, flat: boolean): object[] {
  const faded = layers > 1
    ? { opacity: { field: "l", type: "ordinal", legend: null, scale: { domain: [0, 1], range: [0.75, 1] } } } : {};
  if (chart.type === "bar") {
    const several = drawing.series.length * layers > 1;
    const beside = several ? { [flat ? "yOffset" : "xOffset"]: { field: "k", type: "nominal" } } : {};
    return [{ mark: { type: "bar", cornerRadiusEnd: 2, opacity: 0.9 }, encoding: { ...beside } }];
  }
  if (chart.type === "scatter") return [{ mark: { type: "point", filled: true, size: 40, opacity: 0.7 }, encoding: faded }];
  const dashed = layers > 1
    ? { strokeDash: { field: "l", type: "nominal", legend: null, scale: { domain: [0, 1], range: [[4, 4], [1, 0]] } } } : {};
  const line = { mark: { type: "line", strokeWidth: 2, strokeJoin: "round" }, encoding: { ...dashed, ...faded } };
  if (drawing.points.length > MOST_DOTS) return [line];
  return [line, { mark: { type: "point", filled: true, size: 36, opacity: 1 }, encoding: faded }];
}

function config(looks: Looks): object {
  const font = "system-ui, sans-serif";
  return {
    font,
    view: { stroke: null },
    axis: {
      labelColor: looks.quiet, titleColor: looks.quiet, labelFont: font, titleFont: font, labelFontSize: 12, titleFontSize: 12,
      titleFontWeight: 500, gridColor: looks.line, domainColor: looks.line, tickColor: looks.line,
    },
    scale: { bandPaddingInner: 0.3, bandPaddingOuter: 0.15, offsetBandPaddingInner: 0.05 },
  };
}
