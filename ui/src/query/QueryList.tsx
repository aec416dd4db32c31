/** The queries of the project, each with how many complaints about it are collected. */

import { useEffect, useRef } from "preact/hooks";

import { Link, useProject } from "../context";
import { useTray } from "./tray";

export function QueryList({ current }: { current: string | null }) {
  const project = useProject()!;
  const { items } = useTray();
  const list = useRef<HTMLUListElement>(null);
  // Where the list is a line that scrolls, the query that is shown is in sight.
  useEffect(() => {
    const box = list.current!, at = box.querySelector<HTMLElement>("[aria-current]");
    if (at) box.scrollLeft += at.getBoundingClientRect().left - box.getBoundingClientRect().left - 60;
  }, [current]);
  return (
    <nav class="query-list" aria-label="Queries">
      <ul ref={list}>
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
