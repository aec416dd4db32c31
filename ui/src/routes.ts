/** The screens and their addresses: the browser's own in a page, kept in memory elsewhere. */

import type { Host, Value } from "./types";

export type Route =
  | { screen: "home" }
  | { screen: "query"; name: string }
  | { screen: "new" }
  | { screen: "runs" }
  | { screen: "run"; id: string }
  | { screen: "record"; model: string; key: string };

export function address(route: Route): string {
  const part = encodeURIComponent;
  switch (route.screen) {
    case "home": return "/";
    case "new": return "/new";
    case "query": return `/q/${part(route.name)}`;
    case "runs": return "/runs";
    case "run": return `/runs/${part(route.id)}`;
    case "record": return `/records/${part(route.model)}/${part(route.key)}`;
  }
}

/** The screen at an address; an unknown one is the first. */
export function routeOf(path: string): Route {
  const [first, second, third] = path.split(/[?#]/)[0]!.split("/").filter(Boolean).map(plain);
  if (first === "q" && second) return { screen: "query", name: second };
  if (first === "new") return { screen: "new" };
  if (first === "runs") return second ? { screen: "run", id: second } : { screen: "runs" };
  if (first === "records" && second && third !== undefined) return { screen: "record", model: second, key: third };
  return { screen: "home" };
}

function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const recordRoute = (model: string, key: Value): Route => ({ screen: "record", model, key: String(key) });

export interface Router {
  now(): Route;
  go(route: Route): void;
  back(): void;
  /** Calls back after each change; returns what ends that. */
  watch(changed: () => void): () => void;
}

export function router(mode: Host["mode"], start?: string): Router {
  return mode === "page" ? browserRouter() : memoryRouter(start ?? "/");
}

function browserRouter(): Router {
  const watchers = new Set<() => void>();
  return {
    now: () => routeOf(location.pathname),
    go(route) {
      if (address(route) !== location.pathname) history.pushState(null, "", address(route));
      watchers.forEach((tell) => tell());
    },
    back: () => history.back(),
    watch(changed) {
      watchers.add(changed);
      addEventListener("popstate", changed);
      return () => {
        watchers.delete(changed);
        removeEventListener("popstate", changed);
      };
    },
  };
}

function memoryRouter(start: string): Router {
  const watchers = new Set<() => void>();
  const past: Route[] = [routeOf(start)];
  const tell = () => watchers.forEach((each) => each());
  return {
    now: () => past[past.length - 1]!,
    go(route) {
      if (address(route) !== address(this.now())) past.push(route);
      tell();
    },
    back() {
      if (past.length > 1) past.pop();
      tell();
    },
    watch(changed) {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
  };
}
