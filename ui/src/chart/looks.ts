/** The colours of a chart, from the stylesheet's variables: again when the reader's light changes. */

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

import type { Looks } from "./spec";

const SERIES = 8;

export function useLooks(of: RefObject<HTMLElement | null>): Looks | null {
  const [looks, set] = useState<Looks | null>(null);
  useEffect(() => {
    const look = () => {
      const style = getComputedStyle(of.current!);
      const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
      set({
        ink: colour("ink"), quiet: colour("quiet"), line: colour("line"), before: colour("before"), after: colour("after"),
        series: Array.from({ length: SERIES }, (_, i) => colour(`series-${i + 1}`)),
      });
    };
    look();
    const watch = new MutationObserver(look);
    watch.observe((of.current!.getRootNode() as ShadowRoot).host, { attributeFilter: ["data-look"] });
    return () => watch.disconnect();
  }, []);
  return looks;
}
