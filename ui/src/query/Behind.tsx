/** What is behind a place: the rows that the query counted there, or the training records that move it most. */

import { useEffect, useRef } from "preact/hooks";

import { useHost, useView, Link } from "../context";
import { Cell, Loaded, type TableColumn } from "../Table";
import { recordRoute } from "../routes";
import type { Place, Value } from "../types";
import { placeWords } from "./ComplaintForm";

const RECORDS = 100;
const TITLES = { rows: "Rows behind", records: "Training records behind" };
export type What = keyof typeof TITLES;

export function Behind(props: { place: Place; what: What; show(what: What): void; close(): void }) {
  const { place, what, show, close } = props;
  const host = useHost();
  const { project } = useView();
  const head = useRef<HTMLHeadingElement>(null);
  const words = placeWords(place);
  useEffect(() => head.current?.focus(), [what, words]);
  const models = new Set(project?.models.map((each) => each.name));
  /** A record's key leads to its page. */
  const linked = (columns: TableColumn<Value[]>[]) => {
    const model = columns.findIndex((each) => each.name === "model"), key = columns.findIndex((each) => each.name === "key");
    return columns.map((column, at) => at !== key || model < 0 ? column : {
      ...column,
      draw: (values: Value[]) => models.has(String(values[model]))
        ? <Link to={recordRoute(String(values[model]), values[key] ?? null)}><Cell value={values[key] ?? null} kind="text" /></Link>
        : <Cell value={values[key] ?? null} kind="text" />,
    });
  };
  return (
    <section class="card behind" aria-label={`Behind ${words}`}>
      <div class="behind-head">
        <h2 ref={head} tabIndex={-1}>{TITLES[what]} <span class="quiet">{words}</span></h2>
        <div class="switch" role="group" aria-label="Behind it">
          {(Object.keys(TITLES) as What[]).map((each) => (
            <button type="button" key={each} aria-pressed={each === what} onClick={() => show(each)}>{each === "rows" ? "Rows" : "Training records"}</button>
          ))}
        </div>
        <button type="button" class="quiet-button" aria-label="Close what is behind" onClick={close}>✕</button>
      </div>
      <p class="quiet note">
        {what === "rows"
          ? "The rows of your tables that this place is made of, with what the models say of them."
          : "The training records that move this place most. A complaint ranks all of them by what they do to it."}
      </p>
      <Loaded
        name={JSON.stringify([what, place])} caption={`${TITLES[what]} ${words}`} dress={what === "records" ? linked : undefined}
        load={(offset, limit) => what === "rows"
          ? host.call("rows_behind", { place, offset, limit })
          : host.call("records_behind", { place, limit: RECORDS })}
        empty={what === "rows" ? "No rows are behind it." : "No training record moves it."}
      />
    </section>
  );
}
