/**
 * A notebook's kernel as host, by anywidget's messages.
 *
 * To the kernel: `{id, op, request, heard}`, and `{id, op: "cancel", heard}` to abort a stream. From it: `{id, at, answer}`
 * or `{id, at, failure}` once, before that `{id, at, event}` any number of times for a stream; `at` counts an id's messages
 * from 0. Messages can be lost, as when the connection to the kernel breaks: what is missed is asked for again, and a
 * question that nothing is heard of is asked again, later each time. The kernel knows it by its id and answers from `heard` on.
 */

import type { Host, Ops, Progress, RunView, Streams } from "../types";

/** What is used of anywidget's model. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(name: "msg:custom", callback: (message: Message) => void): void;
  off(name: "msg:custom", callback: (message: Message) => void): void;
}

interface Message { id?: string; at?: number; answer?: unknown; failure?: unknown; event?: Progress }
interface Waiting {
  answer(value: unknown): void;
  fail(value: unknown): void;
  on?(event: Progress): void;
  /** Ask, or ask again. */
  ask(): void;
  op: string;
  heard: number;
  /** The message that was last found missing: it is asked for at once, but once. */
  missed?: number;
  again?: ReturnType<typeof setTimeout>;
}

/** Milliseconds of silence after which a question is asked again, at first and at most. */
const SILENCE = 2_000, LONGEST = 60_000;

export function notebookHost(model: Model): Host & { close(): void } {
  const waiting = new Map<string, Waiting>();
  // One kernel may stand behind several views of a widget: each answers only to what it asked.
  const mine = crypto.randomUUID();
  let asked = 0;

  function hear(message: Message): void {
    const one = message.id === undefined ? undefined : waiting.get(message.id);
    if (!one || message.at! < one.heard) return;
    if (message.at! > one.heard) {
      if (one.missed !== one.heard) (one.missed = one.heard), one.ask();
      return;
    }
    one.heard++;
    patience(one, SILENCE);
    if (message.event !== undefined) return one.on?.(message.event);
    forget(message.id!);
    if (message.failure !== undefined) one.fail(message.failure);
    else one.answer(message.answer);
  }
  model.on("msg:custom", hear);

  function patience(one: Waiting, silence: number): void {
    clearTimeout(one.again);
    one.again = setTimeout(() => (one.ask(), patience(one, Math.min(2 * silence, LONGEST))), silence);
  }

  function forget(id: string): void {
    clearTimeout(waiting.get(id)?.again);
    waiting.delete(id);
  }

  function ask(op: string, request: unknown, on?: (event: Progress) => void): { id: string; answer: Promise<unknown> } {
    const id = `${mine}:${asked++}`;
    const answer = new Promise<unknown>((resolve, reject) => {
      const one: Waiting = {
        answer: resolve, fail: reject, on, op, heard: 0,
        ask: () => model.send({ id, op: one.op, ...(one.op === op && { request }), heard: one.heard }),
      };
      waiting.set(id, one);
      one.ask();
      patience(one, SILENCE);
    });
    return { id, answer };
  }

  return {
    mode: "notebook",
    async call<K extends keyof Ops>(op: K, request: Ops[K][0]): Promise<Ops[K][1]> {
      return (await ask(op, request).answer) as Ops[K][1];
    },
    async stream<K extends keyof Streams>(
      op: K, request: Streams[K], on: (event: Progress) => void, signal: AbortSignal,
    ): Promise<void> {
      const { id, answer } = ask(op, request, on);
      const cancel = () => {
        const one = waiting.get(id);
        if (one) (one.op = "cancel"), one.ask(), patience(one, SILENCE);
      };
      signal.addEventListener("abort", cancel, { once: true });
      try {
        await answer;
      } finally {
        signal.removeEventListener("abort", cancel);
      }
    },
    seen(run: RunView) {
      model.set("seen", run.id);
      model.save_changes();
    },
    close() {
      model.off("msg:custom", hear);
      for (const id of [...waiting.keys()]) forget(id);
    },
  };
}
