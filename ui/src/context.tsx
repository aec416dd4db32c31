/** What every screen may ask for: the host, the way to other screens, and answers of the host as they come. */

import { createContext, type ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";

import { failure as failed, isFailure } from "./host/web";
import { address, type Route, type Router } from "./routes";
import type { Failure, Host, Ops, Project } from "./types";

export interface View {
  host: Host;
  router: Router;
  /** The element that everything is drawn in. */
  frame: HTMLElement;
  /** Where keys are heard: the whole page where it is ours, else the frame alone. */
  keyboard: EventTarget;
  /** null in a saved report, which carries none. */
  project: Project | null;
  /** Asks for the project again: after a new query. */
  refresh(): Promise<void>;
  /** Says something to a reader who does not see the change. */
  say(text: string): void;
}

export const Here = createContext<View>(null as unknown as View);
export const useView = (): View => useContext(Here);
export const useHost = (): Host => useView().host;
export const useProject = (): Project | null => useView().project;

/** The function that goes to a screen. */
export function useGo(): (route: Route) => void {
  const { router } = useView();
  return useCallback((route: Route) => router.go(route), [router]);
}

/** A link to a screen: an address where the browser has one, a button elsewhere. `at`: its place in a field of buttons. */
export function Link(props: { to: Route; class?: string; current?: boolean; at?: string; children: ComponentChildren }) {
  const { host, router } = useView();
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    router.go(props.to);
  };
  const current = props.current ? ("page" as const) : undefined;
  return host.mode === "page" ? (
    <a class={props.class} href={address(props.to)} onClick={follow} aria-current={current} data-at={props.at}>{props.children}</a>
  ) : (
    <button type="button" class={`link ${props.class ?? ""}`} onClick={follow} aria-current={current} data-at={props.at}>{props.children}</button>
  );
}

export interface Asked<T> {
  answer: T | null;
  failure: Failure | null;
  /** Being asked: `answer` is then that of the request before, or null. */
  busy: boolean;
  /** Asks again. */
  again(): void;
  /** Puts another answer in its place. */
  put(answer: T): void;
}

/** The host's answer to a request, asked again when the request changes; `null` asks nothing. */
export function useAnswer<K extends keyof Ops>(op: K, request: Ops[K][0] | null): Asked<Ops[K][1]> {
  type T = Ops[K][1];
  const host = useHost();
  const key = request === null ? null : JSON.stringify(request);
  const [state, set] = useState<{ answer: T | null; failure: Failure | null; key: string | null }>(
    { answer: null, failure: null, key: null },
  );
  const [turn, setTurn] = useState(0);
  const latest = useRef(0);
  useEffect(() => {
    if (key === null) return;
    const mine = ++latest.current;
    host.call(op, JSON.parse(key) as Ops[K][0]).then(
      (answer) => mine === latest.current && set({ answer, failure: null, key }),
      (error: unknown) => mine === latest.current && set({ answer: null, failure: asFailure(error), key }),
    );
    return () => void latest.current++;
  }, [host, op, key, turn]);
  return {
    answer: key === null ? null : state.answer,
    failure: state.key === key ? state.failure : null,
    busy: key !== null && state.key !== key,
    again: () => setTurn((n) => n + 1),
    put: (answer) => set({ answer, failure: null, key }),
  };
}

/** Whatever was thrown, as a Failure to be shown. */
export function asFailure(error: unknown): Failure {
  return isFailure(error) ? error : failed("Error", error instanceof Error ? error.message : String(error), null);
}
