/** Mounts the view into an element: a shadow root of its own, with its own stylesheet, so that no page changes its looks. */

import { render } from "preact";

import { App } from "./App";
import { follow } from "./look";
import { routeOf, router } from "./routes";
import base from "./ui.css";
import query from "./query/query.css";
import run from "./run/run.css";
import type { Host } from "./types";

export interface Options {
  /** The address of the first screen where the browser's own is not used: "/runs/3". */
  start?: string;
}

/** Returns what takes the view away again. */
export function mount(root: HTMLElement, host: Host, options: Options = {}): () => void {
  const shadow = root.shadowRoot ?? root.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync([base, query, run].join("\n"));
  shadow.adoptedStyleSheets = [sheet];
  const frame = document.createElement("div");
  frame.className = "rain";
  frame.dataset.mode = host.mode;
  // A saved report is printed as it reads without scripts: a list that scrolls has no place on paper.
  shadow.replaceChildren(frame, document.createElement("slot"));

  // A notebook has keys of its own for its cells: it must not hear ours. Its letters would cut and delete cells.
  const keep = (event: Event) => event.stopPropagation();
  const ours = host.mode !== "notebook";
  if (!ours) {
    const at = routeOf(options.start ?? "/");
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", at.screen === "query" ? `Rain: ${at.name}` : "Rain");
    root.setAttribute("data-lm-suppress-shortcuts", "true");
    for (const name of ["keydown", "keyup", "keypress"]) root.addEventListener(name, keep);
  }
  const still = follow(root, ours);
  render(<App host={host} router={router(host.mode, options.start)} frame={frame} keyboard={ours ? document : frame} />, frame);
  return () => {
    render(null, frame);
    still();
    for (const name of ["keydown", "keyup", "keypress"]) root.removeEventListener(name, keep);
    shadow.replaceChildren();
  };
}
