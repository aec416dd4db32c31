/** The queries of the project, each with how many complaints about it are collected. */

import { Link, useProject } from "../context";
import { useTray } from "./tray";

export function QueryList({ current }: { current: string | null }) {
  const project = useProject()!;
  const { items } = useTray();
  return (
    <nav class="query-list" aria-label="Queries">
      <ul>
        {project.queries.map(({ name }) => {
          const complaints = items.filter((each) => each.complaint.place.query === name).length;
          return (
            <li key={name}>
              <Link to={{ screen: "query", name }} current={name === current}>
                <span>{name}</span>
                {complaints > 0 && <span class="chip marked" title="Complaints">{complaints}<span class="spoken"> complaints</span></span>}
              </Link>
            </li>
          );
        })}
        <li><Link class="new" to={{ screen: "new" }} current={current === null}>New query</Link></li>
      </ul>
    </nav>
  );
}
