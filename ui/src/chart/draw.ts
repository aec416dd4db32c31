/** Draws a specification with Vega, without eval and without a request, and says where its points came to stand. */

import { Error as OnlyErrors, View, parse, type Loader } from "vega";
import { expressionInterpreter } from "vega-interpreter";
import { compile, type TopLevelSpec } from "vega-lite";

import type { Point } from "./series";

export interface Spot {
  /** The middle of a point, the end of a bar; from the picture's upper left. */
  x: number;
  y: number;
  /** A bar's own field, for what is under the pointer. */
  box: { left: number; top: number; width: number; height: number } | null;
}

export interface Picture {
  spot(point: Point, value?: number): Spot | null;
  /** The numbers that the value axis spans. */
  domain: [number, number];
  gone(): void;
}

const refused = () => Promise.reject(new Error("a chart loads nothing"));
const loader = { load: refused, sanitize: refused, http: refused, file: refused, options: {} } as unknown as Loader;

type Scale = ((value: unknown) => number | undefined) & { bandwidth?(): number; domain(): number[]; range(): number[] };

export async function draw(element: HTMLElement, specification: TopLevelSpec, flat: boolean, bars: boolean, layers: number): Promise<Picture> {
  const runtime = parse(compile(specification).spec, undefined, { ast: true });
  const view = new View(runtime, { renderer: "svg", loader, expr: expressionInterpreter, logLevel: OnlyErrors, hover: false });
  await view.initialize(element).runAsync();
  const scale = (name: string): Scale | null => {
    try {
      return view.scale(name) as Scale;
    } catch {
      return null;
    }
  };
  const [main, other] = flat ? ["y", "x"] : ["x", "y"];
  const along = scale(main!)!, value = scale(other!)!;
  const beside = bars ? scale(`${main}Offset`) : null;
  const padding = view.padding() as { left: number; top: number };
  const [ox, oy] = view.origin();
  const left = ox! + padding.left, top = oy! + padding.top;
  const domain = value.domain();
  return {
    domain: [Number(domain[0]), Number(domain[domain.length - 1])],
    spot(point, at = point.y ?? Number.NaN) {
      let a = along(point.x);
      const b = value(at);
      if (a === undefined || b === undefined || !Number.isFinite(a) || !Number.isFinite(b)) return null;
      let thick = along.bandwidth?.() ?? 0;
      if (beside) {
        a += beside(point.series * layers + point.layer) ?? 0;
        thick = beside.bandwidth?.() ?? thick;
      }
      const middle = a + thick / 2;
      const spot = flat ? { x: left + b, y: top + middle } : { x: left + middle, y: top + b };
      const zero = value(Math.min(Math.max(0, domain[0]!), domain[domain.length - 1]!))!;
      const [low, size] = [Math.min(zero, b), Math.abs(zero - b)];
      const box = !bars ? null : flat
        ? { left: left + low, top: top + a, width: size, height: thick }
        : { left: left + a, top: top + low, width: thick, height: size };
      return { ...spot, box };
    },
    gone: () => void view.finalize(),
  };
}
