/**
 * The picture of an answer. Vega draws it; over it lies a field of buttons, one for each of its points, so that the
 * keyboard, a screen reader and a pointer that is only near all reach them.
 */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { draw, type Picture, type Spot } from "./chart/draw";
import { drawing, span, wordsOf, type Columned, type Layer, type Mark, type Point, type Series } from "./chart/series";
import { across, specification } from "./chart/spec";
import { useLooks } from "./chart/looks";
import { asFailure } from "./context";
import { FailureBox } from "./failure";
import { count } from "./format";
import { useRoving } from "./roving";
import type { Chart as Drawn, Failure } from "./types";

export type { Layer, Mark, Series } from "./chart/series";

export interface ChartProps {
  chart: Drawn;
  columns: Columned[];
  /** One: an answer. Two: before and after. */
  layers: Layer[];
  /** What it shows, in words. */
  label: string;
  /** Makes its points buttons. */
  onMark?(mark: Mark): void;
  /** Makes its legend's entries buttons; `null` is the total over all. */
  onSeries?(series: Series): void;
  chosen?: Mark | null;
  /** The cells complained about: row and column. */
  marked?: [number, string][];
  /** Where cells stand now, while a run goes on; and where they should stand. */
  moving?: Spotted[];
  wanted?: Spotted[];
  height?: number;
}

export interface Spotted { row: number; column: string; value: number }

interface Placed { point: Point; spot: Spot; words: string }

/** As far from a point, in pixels, as a click still means it. */
const NEAR = 40;

export function Chart(props: ChartProps) {
  const { chart, columns, layers, onMark, height = 300 } = props;
  const canvas = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLDivElement>(null);
  const width = useWidth(field);
  const looks = useLooks(field);
  const plan = useMemo(() => drawing(chart, columns, layers), [chart, columns, layers]);
  const flat = across(chart, plan);
  const tall = flat ? Math.max(height, plan.order.length * (16 + 12 * layers.length * plan.series.length) + 40) : height;
  const [picture, setPicture] = useState<Picture | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const domain = useDomain(chart, plan.points, props);
  useEffect(() => {
    if (!width || !looks) return;
    let gone: (() => void) | null = null;
    let mine = true;
    const spec = specification(chart, plan, layers.length, looks, { width, height: tall }, domain);
    draw(canvas.current!, spec, flat, chart.type === "bar", layers.length).then(
      (drawn) => {
        gone = drawn.gone;
        if (mine) setPicture(drawn);
        else drawn.gone();
      },
      (error: unknown) => mine && setFailure(asFailure(error)),
    );
    return () => {
      mine = false;
      gone?.();
    };
  }, [chart, plan, width, tall, looks, flat, layers.length, domain[0], domain[1]]);

  const placed = useMemo<Placed[]>(
    () => (picture ? plan.points.flatMap((point) => {
      const spot = point.y === null ? null : picture.spot(point);
      return spot ? [{ point, spot, words: wordsOf(point, chart, plan.series, columns, layers) }] : [];
    }) : []),
    [picture, plan],
  );
  const [near, setNear] = useState<Placed | null>(null);
  const find = (event: MouseEvent): Placed | null => {
    const box = field.current!.getBoundingClientRect();
    return nearest(placed, event.clientX - box.left, event.clientY - box.top);
  };
  const buttons = useButtons(props, placed, plan.series.length, flat, setNear);
  const roving = useRoving(field, buttons);
  if (failure) return <FailureBox failure={failure} />;
  return (
    <figure class="chart" aria-label={props.label}>
      <Legend {...props} series={plan.series} colours={looks?.series ?? []} />
      <div
        ref={field} class={`chart-field${near && onMark ? " over" : ""}`}
        onKeyDown={roving}
        onPointerMove={(event) => event.pointerType !== "touch" && setNear(find(event))}
        onPointerLeave={() => setNear(null)}
        onClick={(event) => {
          if (event.detail === 0) return;
          const hit = find(event);
          if (hit && onMark) onMark(hit.point);
        }}
      >
        <div ref={canvas} class="chart-canvas" aria-hidden="true" />
        {picture && (
          <div class="chart-marks" role="group" aria-label={`${props.label}: ${count(placed.length, "point")}`}>
            {buttons}
            <Stems spots={props.wanted} kind="wanted" flat={flat} points={plan.points} picture={picture} />
            <Stems spots={props.moving} kind="now" flat={flat} points={plan.points} picture={picture} />
          </div>
        )}
        {near && <Near at={near} width={width} />}
      </div>
      {plan.left_out > 0 && (
        <p class="quiet note">The first {plan.series.length} of {plan.series.length + plan.left_out} series are drawn; the table has all.</p>
      )}
    </figure>
  );
}

/** From a point to another value of it: a stem with what it ends in. */
function Stems(props: { spots?: Spotted[]; kind: "wanted" | "now"; flat: boolean; points: Point[]; picture: Picture }) {
  const { spots = [], kind, flat, points, picture } = props;
  return (
    <>
      {spots.map(({ row, column, value }) => {
        const point = points.find((each) => each.row === row && each.column === column);
        const from = point && picture.spot(point), to = point && picture.spot(point, value);
        if (!from || !to) return null;
        const stem = flat
          ? { left: `${Math.min(from.x, to.x)}px`, top: `${to.y}px`, width: `${Math.abs(to.x - from.x)}px` }
          : { left: `${to.x}px`, top: `${Math.min(from.y, to.y)}px`, height: `${Math.abs(to.y - from.y)}px` };
        return (
          <span key={`${row}/${column}`} aria-hidden="true">
            <span class={`stem ${kind}${flat ? " flat" : ""}`} style={stem} />
            <span class={`end ${kind}${flat ? " flat" : ""}`} style={{ left: `${to.x}px`, top: `${to.y}px` }} />
          </span>
        );
      })}
    </>
  );
}

/** What the value axis shows, and which colour is whose. */
function Legend(props: ChartProps & { series: Series[]; colours: string[] }) {
  const { chart, series, layers, onSeries, colours } = props;
  const single = chart.y.length === 1;
  return (
    <div class="legend">
      {single && <span class="legend-y">{chart.y[0]}{chart.color !== null && ` by ${chart.color}`}</span>}
      <ul>
        {(series.length > 1 || !single) && series.map((each, i) => {
          const entry = <><i class="swatch" style={{ background: colours[i % colours.length] }} />{each.name}</>;
          return (
            <li key={i}>
              {onSeries ? (
                <button type="button" class="legend-entry" onClick={() => onSeries(each)} title={`Complain about the total of ${each.name}`}>{entry}</button>
              ) : <span class="legend-entry">{entry}</span>}
            </li>
          );
        })}
        {layers.length > 1 && layers.map((layer, i) => (
          <li key={layer.name}><span class="legend-entry"><i class={`swatch ${i ? "after" : "before"}`} />{layer.name}</span></li>
        ))}
      </ul>
    </div>
  );
}

/** What the pointer or the focus is at: a ring around it and its words. */
function Near({ at: { spot, words }, width }: { at: Placed; width: number }) {
  const left = Math.min(Math.max(spot.x, 70), Math.max(70, width - 70));
  return (
    <div aria-hidden="true">
      <span class="near" style={{ left: `${spot.x}px`, top: `${spot.y}px` }} />
      <div class={`tip${spot.y < 40 ? " below" : ""}`} style={{ left: `${left}px`, top: `${spot.y}px` }}>{words}</div>
    </div>
  );
}

/** The points' buttons. Thousands of them are made once, and not again for every move of the pointer. */
function useButtons(props: ChartProps, placed: Placed[], rows: number, flat: boolean, setNear: (near: Placed | null) => void) {
  const { chosen, marked = [] } = props;
  const pick = useRef(props.onMark);
  pick.current = props.onMark;
  const cell = (row: number, column: string) => `${row}/${column}`;
  const complained = marked.map(([row, column]) => cell(row, column)).join("\n");
  return useMemo(() => {
    const cells = new Set(complained.split("\n"));
    return placed.map((each) => {
      const { layer, row, column, series } = each.point;
      const pressed = chosen?.row === row && chosen.column === column && chosen.layer === layer;
      const shared = {
        key: `${layer}/${cell(row, column)}`,
        class: `mark${pressed ? " chosen" : ""}${cells.has(cell(row, column)) ? " marked" : ""}`,
        style: { left: `${each.spot.x}px`, top: `${each.spot.y}px` },
        "aria-label": each.words,
      };
      return props.onMark ? (
        <button
          type="button" {...shared} aria-pressed={pressed}
          data-at={`${layer * rows + series},${Math.round(flat ? each.spot.y : each.spot.x)}`}
          onClick={(event) => event.detail === 0 && pick.current?.(each.point)}
          onFocus={() => setNear(each)} onBlur={() => setNear(null)}
        />
      ) : (
        <span {...shared} role="img" />
      );
    });
  }, [placed, complained, chosen?.row, chosen?.column, chosen?.layer, !props.onMark, flat, rows]);
}

/** What a pointer means: the bar that it is over, or the point that is nearest. */
function nearest(placed: Placed[], x: number, y: number): Placed | null {
  let best: Placed | null = null, least = NEAR;
  for (const each of placed) {
    const { box } = each.spot;
    const far = box
      ? Math.hypot(outside(x, box.left, box.width), outside(y, box.top, box.height))
      : Math.hypot(x - each.spot.x, y - each.spot.y);
    if (far < least) [best, least] = [each, far];
  }
  return best;
}

const outside = (at: number, from: number, size: number) => Math.max(from - at, 0, at - from - size);

/** The span of the value axis: of what is drawn, what moves and what is asked for. While points move it only widens. */
function useDomain(chart: Drawn, points: Point[], { moving, wanted }: ChartProps): [number, number] {
  const widest = useRef<{ points: Point[]; numbers: number[] }>({ points, numbers: [] });
  if (widest.current.points !== points) widest.current = { points, numbers: [] };
  const { numbers } = widest.current;
  numbers.push(...[...(moving ?? []), ...(wanted ?? [])].map((each) => each.value).filter(Number.isFinite));
  if (numbers.length > 2) numbers.splice(0, numbers.length, Math.min(...numbers), Math.max(...numbers));
  return span(chart, [...points.flatMap((p) => (p.y === null ? [] : [p.y])), ...numbers]);
}

function useWidth(of: { current: HTMLElement | null }): number {
  const [width, set] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(() => set(Math.floor(of.current?.clientWidth ?? 0)));
    observer.observe(of.current!);
    set(Math.floor(of.current!.clientWidth));
    return () => observer.disconnect();
  }, []);
  return width;
}
