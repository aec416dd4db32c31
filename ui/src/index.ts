/**
 * The one module: a page, a notebook and a saved report all load it.
 *
 * - A page holds `<div id="rain-view" data-mode="page">`; the module finds it and asks the server that sent it.
 * - A saved report holds `<div id="rain-view" data-mode="report">` and, in `<script type="application/json"
 *   id="rain-saved">`, the run: `Saved` of types.ts.
 * - A notebook imports the default export, as anywidget does.
 */

import { notebookHost, type Model } from "./host/notebook";
import { savedHost } from "./host/saved";
import { webHost } from "./host/web";
import { mount } from "./mount";
import type { Saved } from "./types";

export { mount } from "./mount";
export type { Host } from "./types";

export default {
  render({ model, el }: { model: Model; el: HTMLElement }): () => void {
    const start = model.get("start");
    const host = notebookHost(model);
    const unmount = mount(el, host, typeof start === "string" && start ? { start } : {});
    return () => (unmount(), host.close());
  },
};

/** A page that is all ours has no margin around it. */
function whole(page: Document): void {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("body { margin: 0 }");
  page.adoptedStyleSheets = [...page.adoptedStyleSheets, sheet];
}

const root = typeof document === "undefined" ? null : document.getElementById("rain-view");
if (root?.dataset.mode === "page") {
  whole(document);
  mount(root, webHost());
} else if (root?.dataset.mode === "report") {
  const saved = JSON.parse(document.getElementById("rain-saved")?.textContent ?? "null") as Saved;
  whole(document);
  mount(root, savedHost(saved), { start: `/runs/${encodeURIComponent(saved.run.id)}` });
}
