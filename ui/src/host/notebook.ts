/**
 * A notebook's kernel as host, by anywidget's messages.
 *
 * To the kernel: `{id, op, request}`, and `{id, op: "cancel"}` to abort a stream. From it: `{id, answer}` or
 * `{id, failure}` once, before that `{id, event}` any number of times for a stream.
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

interface Message { id?: string; answer?: unknown; failure?: unknown; event?: Progress }
interface Waiting { answer(value: unknown): void; fail(value: unknown): void; on?(event: Progress): void }

export function notebookHost(model: Model): Host {
  const waiting = new Map<string, Waiting>();
  // One kernel may stand behind several views of a widget: each answers only to what it asked.
  const mine = crypto.randomUUID();
  let asked = 0;

  model.on("msg:custom", (message) => {
    const one = message.id === undefined ? undefined : waiting.get(message.id);
    if (!one) return;
    if (message.event !== undefined) return one.on?.(message.event);
    waiting.delete(message.id!);
    if (message.failure !== undefined) one.fail(message.failure);
    else one.answer(message.answer);
  });

  function ask(op: string, request: unknown, on?: (event: Progress) => void): { id: string; answer: Promise<unknown> } {
    const id = `${mine}:${asked++}`;
    const answer = new Promise<unknown>((resolve, reject) => waiting.set(id, { answer: resolve, fail: reject, on }));
    model.send({ id, op, request });
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
      const cancel = () => model.send({ id, op: "cancel" });
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
  };
}
