/**
 * The keyboard: what `?` lists, and the one place where a key gets another meaning.
 *
 * A letter alone never leaves the page, and no key is heard while something is being typed, unless its entry says so.
 */

import { useEffect, useRef } from "preact/hooks";

import { useView } from "./context";

export interface Key {
  /** As `KeyboardEvent.key` says them; "Mod+" is Ctrl, or ⌘ on a Mac. Any of them. */
  keys: string[];
  does: string;
  /** Heard while typing too. */
  typing?: boolean;
}

/** By the part of the page in which they are heard. Where a part only lists what the browser does, nobody binds it. */
export const KEYS = {
  Everywhere: {
    help: { keys: ["?"], does: "Show or hide this list" },
    close: { keys: ["Escape"], does: "Close what is open, back to where you were", typing: true },
  },
  "A chart or a table": {
    next: { keys: ["ArrowRight"], does: "Next point or cell" },
    previous: { keys: ["ArrowLeft"], does: "Previous point or cell" },
    up: { keys: ["ArrowUp"], does: "The series or row above" },
    down: { keys: ["ArrowDown"], does: "The series or row below" },
    first: { keys: ["Home"], does: "First" },
    last: { keys: ["End"], does: "Last" },
    pick: { keys: ["Enter", " "], does: "Complain about it" },
  },
  "A query": {
    flip: { keys: ["t"], does: "Chart or table" },
    edit: { keys: ["e"], does: "Go to the SQL" },
    ask: { keys: ["Mod+Enter"], does: "In the SQL: ask. In a complaint: add it. Elsewhere: run", typing: true },
    behind: { keys: ["b"], does: "The rows behind the point" },
    tray: { keys: ["c"], does: "Go to the complaints" },
  },
  "Records of a run": {
    keep: { keys: ["k"], does: "Keep the record, or no longer, and on to the next: a run spares those kept" },
    search: { keys: ["/"], does: "Go to the search" },
  },
} satisfies Record<string, Record<string, Key>>;

type Parts = typeof KEYS;
export type Actions<P extends keyof Parts> = { [A in keyof Parts[P]]?: (event: KeyboardEvent) => void };

const mac = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);

export function hits(event: KeyboardEvent, key: Key): boolean {
  return key.keys.some((each) => {
    const mod = each.startsWith("Mod+");
    if (mod !== (mac ? event.metaKey : event.ctrlKey) || event.altKey) return false;
    return event.key === (mod ? each.slice(4) : each);
  });
}

/** A key as a reader finds it on the keyboard. */
export function shown(key: string): string {
  const names: Record<string, string> = {
    ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc",
  };
  return key.startsWith("Mod+") ? `${mac ? "⌘" : "Ctrl"} ${key.slice(4)}` : (names[key] ?? key);
}

function types(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

/** Hears the keys of a part while the component is shown; an action that is not named is not heard. */
export function useKeys<P extends keyof Parts>(part: P, actions: Actions<P>): void {
  const { keyboard } = useView();
  const now = useRef(actions);
  now.current = actions;
  useEffect(() => {
    const hear = (heard: Event) => {
      const event = heard as KeyboardEvent;
      if (event.defaultPrevented || event.isComposing) return;
      for (const [name, key] of Object.entries(KEYS[part]) as [keyof Parts[P], Key][]) {
        const act = now.current[name];
        if (!act || !hits(event, key) || (types(event) && !key.typing)) continue;
        event.preventDefault();
        act(event);
        return;
      }
    };
    keyboard.addEventListener("keydown", hear);
    return () => keyboard.removeEventListener("keydown", hear);
  }, [keyboard, part]);
}
