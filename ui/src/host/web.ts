/** A web server as host: POST /api/<op> with JSON; a stream is answered as one JSON event a line. */

import type { Failure, Host, Ops, Progress, Streams } from "../types";

export function webHost(base = ""): Host {
  async function post(op: string, request: unknown, signal?: AbortSignal): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(`${base}/api/${op}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        credentials: "same-origin",
        body: JSON.stringify(request),
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw lost();
    }
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }

  return {
    mode: "page",
    async call<K extends keyof Ops>(op: K, request: Ops[K][0]): Promise<Ops[K][1]> {
      return (await post(op, request)).json();
    },
    async stream<K extends keyof Streams>(
      op: K, request: Streams[K], on: (event: Progress) => void, signal: AbortSignal,
    ): Promise<void> {
      try {
        const answer = await post(op, request, signal);
        for await (const line of lines(answer)) on(JSON.parse(line) as Progress);
      } catch (error) {
        if (signal.aborted) return;
        throw isFailure(error) ? error : lost();
      }
    },
  };
}

async function* lines(answer: Response): AsyncGenerator<string> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part.trim()) yield part;
  }
  if (rest.trim()) yield rest;
}

/** The Failure in the body of a refused request; a body that is none (a proxy's page) becomes one. */
async function refusal(answer: Response): Promise<Failure> {
  const body: unknown = await answer.json().catch(() => null);
  if (isFailure(body)) return body;
  return failure("ServerError", `The server answered ${answer.status} ${answer.statusText}`.trim() + ".", null);
}

export function isFailure(value: unknown): value is Failure {
  return typeof value === "object" && value !== null && "message" in value && "kind" in value;
}

export function failure(kind: string, message: string, hint: string | null): Failure {
  return { kind, message, where: null, hint, fragment: null, line: null, column: null };
}

function lost(): Failure {
  return failure("ConnectionLost", "The server does not answer.", "Is rain serve still running? Start it again, then reload.");
}
