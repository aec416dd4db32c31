import type { Mark } from "./words";

const SIGNS = { good: "✓", bad: "✗", neither: "–" };

/** A word with its sign: colour is never the only thing that tells. */
export function Marked({ mark }: { mark: Mark }) {
  return (
    <span class={`chip ${mark.tone}`}>
      <span aria-hidden="true">{SIGNS[mark.tone]} </span>
      {mark.text}
    </span>
  );
}
