/** Light or dark: as the browser prefers where the page is ours, else as what lies behind us in the notebook. */

export type Look = "light" | "dark";

/** Marks `root` with the look that it should have, now and whenever that changes; returns what ends this. */
export function follow(root: HTMLElement, ours: boolean): () => void {
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  const preferred = (): Look => (prefers.matches ? "dark" : "light");
  const look = () => {
    const now = ours ? preferred() : (behind(root) ?? preferred());
    if (root.dataset.look !== now) root.dataset.look = now;
  };
  // A notebook changes its theme by attributes of its body or root; its colours may take a moment to follow.
  const soon = () => [0, 100, 600].forEach((ms) => setTimeout(look, ms));
  const watch = new MutationObserver(soon);
  look();
  prefers.addEventListener("change", soon);
  if (!ours) {
    soon(); // a widget is drawn before it stands in its cell
    for (const each of [document.documentElement, document.body])
      watch.observe(each, { attributeFilter: ["class", "style", "data-theme", "data-jp-theme-name", "data-vscode-theme-kind"] });
  }
  return () => {
    watch.disconnect();
    prefers.removeEventListener("change", soon);
  };
}

/** Whether the first ground behind an element is light or dark; null where there is none. */
function behind(of: Element): Look | null {
  for (let at: Element | null = of; at; at = outer(at)) {
    const found = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (!found || found.length < 3 || (found[3] ?? 1) < 0.5) continue;
    const [red, green, blue] = found as [number, number, number];
    return 0.299 * red + 0.587 * green + 0.114 * blue < 128 ? "dark" : "light";
  }
  return null;
}

function outer(of: Element): Element | null {
  if (of.parentElement) return of.parentElement;
  const root = of.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}
