/** The way back: where this screen stands under the others. */

import { Link } from "../context";
import type { Route } from "../routes";

export function Trail({ steps = [], here }: { steps?: { to: Route; title: string }[]; here: string }) {
  const all = [{ to: { screen: "runs" } as Route, title: "Runs" }, ...steps];
  return (
    <nav class="trail" aria-label="Where you are">
      <ol>
        {all.map(({ to, title }) => (
          <li key={title}><Link to={to}>{title}</Link></li>
        ))}
        <li aria-current="page">{here}</li>
      </ol>
    </nav>
  );
}
