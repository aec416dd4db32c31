/** What went wrong, as an error of Rain says it: what, where, what to do. */

import type { Failure } from "./types";

export function FailureBox(props: { failure: Failure; again?: () => void }) {
  const { message, where, hint, fragment } = props.failure;
  return (
    <div class="failure" role="alert">
      <p class="failure-what">{message}</p>
      {where && <pre class="failure-where">{where}</pre>}
      {!where && fragment && <pre class="failure-where">{fragment}</pre>}
      {hint && <p class="failure-hint">{hint}</p>}
      {props.again && <button type="button" class="button" onClick={props.again}>Try again</button>}
    </div>
  );
}
