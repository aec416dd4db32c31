/** The records that the complaints point to, as soon as there is one: a look ahead, before a run tries anything. */

import { Link, useAnswer, useProject } from "../context";
import { text } from "../format";
import { recordRoute } from "../routes";
import type { Value } from "../types";
import { useTray } from "./tray";

const SHOWN = 5;

export function Suspects() {
  const { items } = useTray();
  const several = (useProject()?.models.length ?? 0) > 1;
  const { answer } = useAnswer("suspects", { complaints: items.map((each) => each.complaint), limit: SHOWN });
  if (!answer?.ready || !answer.rows.rows.length) return null;
  const at = (name: string) => answer.rows.columns.findIndex((column) => column.name === name);
  const [model, key, score, label] = ["model", "key", "score", "label"].map(at) as [number, number, number, number];
  const most = Number(answer.rows.rows[0]![score]);
  return (
    <div class="suspects">
      <h3 id="suspects">First suspects</h3>
      <ol aria-labelledby="suspects">
        {answer.rows.rows.map((row: Value[]) => (
          <li key={`${row[model]} ${row[key]}`}>
            <span class="share" style={{ width: `${Math.round((100 * Number(row[score])) / most)}%` }} aria-hidden="true" />
            <span class="who">
              <Link to={recordRoute(String(row[model]), row[key] ?? null)}>{several ? `${row[model]} ` : ""}{text(row[key] ?? null, "text")}</Link>
              {" "}<span class="quiet">labelled {text(row[label] ?? null, "text")}</span>
            </span>
          </li>
        ))}
      </ol>
      <p class="quiet note">The records that should change it most, by estimate: nothing is removed or tried yet.</p>
    </div>
  );
}
