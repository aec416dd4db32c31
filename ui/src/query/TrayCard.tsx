/** The complaints that are collected, the settings behind their defaults, and Run. */

import { useRef } from "preact/hooks";

import { Link, useProject } from "../context";
import { FailureBox } from "../failure";
import { useKeys } from "../keys";
import type { Settings } from "../types";
import { Suspects } from "./Suspects";
import { useTray } from "./tray";

export function TrayCard({ here }: { here: string | null }) {
  const tray = useTray();
  const { items, failure, note } = tray;
  const box = useRef<HTMLElement>(null);
  const list = useRef<HTMLUListElement>(null);
  useKeys("A query", {
    tray: () => (box.current?.querySelector<HTMLElement>(".tray-remove, button.main") ?? box.current)?.focus(),
    ask: () => tray.run(),
  });
  if (!items.length && !failure && !note) return null;
  const remove = (id: number, at: number) => {
    tray.remove(id);
    // Focus stays in the list: at the complaint that came into this one's place.
    requestAnimationFrame(() => {
      const left = list.current?.querySelectorAll<HTMLElement>(".tray-remove");
      (left?.[Math.min(at, left.length - 1)] ?? box.current)?.focus();
    });
  };
  return (
    <section class="card tray" aria-label="Complaints" ref={box} tabIndex={-1}>
      <h2>Complaints {items.length > 0 && <span class="chip">{items.length}</span>}</h2>
      <ul ref={list}>
        {items.map((item, at) => (
          <li key={item.id}>
            <span>
              {item.text}
              {item.complaint.place.query !== here && (
                <> <Link class="note" to={{ screen: "query", name: item.complaint.place.query }}>{item.complaint.place.query}</Link></>
              )}
              {item.holds && <> <span class="chip good">holds</span></>}
            </span>
            <button type="button" class="quiet-button tray-remove" aria-label={`Remove: ${item.text}`} onClick={() => remove(item.id, at)}>✕</button>
          </li>
        ))}
      </ul>
      {failure && <FailureBox failure={failure} />}
      {note && <p class="note quiet" role="status">{note}</p>}
      {items.length > 0 && (
        <>
          <Suspects />
          <SettingsBox />
          <button type="button" class="button main" onClick={tray.run}>Find the records behind {items.length > 1 ? "them" : "it"}</button>
        </>
      )}
    </section>
  );
}

const FIXES = { delete: "delete it", relabel: "correct its label", auto: "the better one" };
const UNTIL = { resolved: "when all are met", budget: "at the most" };

function SettingsBox() {
  const project = useProject()!;
  const { settings, set } = useTray();
  const all: Settings = { ...project.defaults, ...settings };
  const whole = (name: "budget" | "step" | "seed", least: number) => (event: { currentTarget: HTMLInputElement }) => {
    const value = Math.round(Number(event.currentTarget.value));
    if (event.currentTarget.value !== "" && value >= least) set({ ...settings, [name]: value });
  };
  const choice = (name: "ranker" | "fix" | "until") => (event: { currentTarget: HTMLSelectElement }) =>
    set({ ...settings, [name]: event.currentTarget.value });
  return (
    <details class="settings">
      <summary>Fixes at most {all.budget} records, {all.step} a round</summary>
      <div class="settings-body">
        <label>Records at most <input type="number" min="1" value={all.budget} onInput={whole("budget", 1)} /></label>
        <label>Records a round <input type="number" min="1" value={all.step} onInput={whole("step", 1)} /></label>
        <label>Stop <Choice value={all.until} of={UNTIL} on={choice("until")} /></label>
        <label>Fix a record <Choice value={all.fix} of={FIXES} on={choice("fix")} /></label>
        <label>Ranker <Choice value={all.ranker} of={Object.fromEntries(project.rankers.map((each) => [each, each]))} on={choice("ranker")} /></label>
        <label>Seed <input type="number" min="0" value={all.seed} onInput={whole("seed", 0)} /></label>
      </div>
    </details>
  );
}

function Choice(props: { value: string; of: Record<string, string>; on(event: { currentTarget: HTMLSelectElement }): void }) {
  return (
    <select value={props.value} onChange={props.on}>
      {Object.entries(props.of).map(([value, words]) => <option key={value} value={value}>{words}</option>)}
    </select>
  );
}
