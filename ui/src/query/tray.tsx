/** What is collected across queries: the complaints and the settings of the next run, and the run that goes on. */

import { createContext, type ComponentChildren } from "preact";
import { useCallback, useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { asFailure, useView } from "../context";
import { count } from "../format";
import type { Complaint, Failure, Progress, Settings, Standing, Streams } from "../types";
import { samePlace } from "./claims";

export interface Item { id: number; complaint: Complaint; text: string; holds: boolean }

/** A run as far as it is. */
export interface Going {
  id: string | null;
  budget: number;
  rounds: number;
  removed: number;
  seconds: number;
  doing: string;
  standings: Standing[];
  cancelling: boolean;
}

export interface Tray {
  items: Item[];
  settings: Partial<Settings>;
  going: Going | null;
  failure: Failure | null;
  /** Why the last run left nothing. */
  note: string;
  add(complaint: Complaint, text: string, holds: boolean): void;
  remove(id: number): void;
  set(settings: Partial<Settings>): void;
  /** Finds the records behind what is collected. */
  run(): void;
  /** Any run, one at a time; when it is done, its screen is shown. */
  start<K extends keyof Streams>(op: K, request: Streams[K]): void;
  cancel(): void;
}

const Context = createContext<Tray>(null as unknown as Tray);
export const useTray = (): Tray => useContext(Context);

export function TrayProvider({ children }: { children: ComponentChildren }) {
  const { host, router, project, say } = useView();
  const [items, setItems] = useState<Item[]>([]);
  const [settings, set] = useState<Partial<Settings>>({});
  const [going, setGoing] = useState<Going | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [note, setNote] = useState("");
  const ids = useRef(0);
  const abort = useRef<AbortController | null>(null);

  // The project's own complaints are there from the start, once.
  const brought = useRef(false);
  useEffect(() => {
    if (!project || brought.current) return;
    brought.current = true;
    setItems(project.complaints.map((each) => ({ id: ids.current++, ...each, holds: false })));
  }, [project]);

  /** A second complaint of the same kind about a place takes the first one's place. */
  const add = useCallback((complaint: Complaint, text: string, holds: boolean) => {
    const id = ids.current++;
    const others = (all: Item[]) =>
      all.filter((each) => each.complaint.claim !== complaint.claim || !samePlace(each.complaint.place, complaint.place));
    setItems((all) => [...others(all), { id, complaint, text, holds }]);
  }, []);
  const remove = useCallback((id: number) => setItems((all) => all.filter((each) => each.id !== id)), []);

  const wanted = useRef({ items, settings });
  wanted.current = { items, settings };
  const start = useCallback(async <K extends keyof Streams>(op: K, request: Streams[K]) => {
    if (abort.current) return;
    abort.current = new AbortController();
    setFailure(null);
    setNote("");
    let now: Going = {
      id: null, budget: 0, rounds: 0, removed: 0, seconds: 0, doing: "starting", standings: [], cancelling: false,
    };
    const move = (next: Partial<Going>) => setGoing((old) => (now = { ...now, ...next, cancelling: old?.cancelling ?? false }));
    let done: string | null = null;
    const hear = (event: Progress) => {
      if (event.type === "started") move({ id: event.id, budget: event.budget });
      if (event.type === "waiting") move({ seconds: event.seconds, doing: event.doing });
      if (event.type === "round") {
        const { number, removed, budget, seconds, standings } = event;
        move({ rounds: number, removed, budget, seconds, standings, doing: "" });
        say(`Round ${number}: ${count(removed, "record")} fixed, ${standings.filter((each) => each.met).length} of ${standings.length} complaints met`);
      }
      if (event.type === "failed") setFailure(event.failure);
      if (event.type === "done") {
        done = event.run.id;
        host.seen?.(event.run);
      }
    };
    move({});
    try {
      await host.stream(op, request, hear, abort.current.signal);
      if (!done && abort.current.signal.aborted) done = await kept(now);
      if (done) router.go({ screen: "run", id: done });
      else if (abort.current.signal.aborted) setNote("Cancelled before a round was done: nothing was kept.");
    } catch (error) {
      setFailure(asFailure(error));
    } finally {
      abort.current = null;
      setGoing(null);
    }
  }, [host, router, say]);

  const run = useCallback(() => {
    const { items, settings } = wanted.current;
    if (items.length) void start("debug", { complaints: items.map((each) => each.complaint), settings });
  }, [start]);

  /** The id of a cancelled run, once the host has put away the rounds that were done. */
  const kept = useCallback(async ({ id, rounds }: Going): Promise<string | null> => {
    for (let turn = 0; id !== null && rounds > 0 && turn < 20; turn++) {
      try {
        return (await host.call("run", { id })).id;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }
    return null;
  }, [host]);

  const cancel = useCallback(() => {
    setGoing((old) => old && { ...old, cancelling: true });
    abort.current?.abort();
  }, []);
  const tray = useMemo<Tray>(
    () => ({ items, settings, going, failure, note, add, remove, set, run, start: (...of) => void start(...of), cancel }),
    [items, settings, going, failure, note, add, remove, run, start, cancel],
  );
  return <Context.Provider value={tray}>{children}</Context.Provider>;
}
