/** The frame around every screen: the head with its ways, the list of keys, and the screen of the address. */

import { Component, type ComponentChildren, type RefObject } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Here, Link, asFailure, useView, type View } from "./context";
import { FailureBox } from "./failure";
import { Help } from "./Help";
import { failure as failed } from "./host/web";
import { QueryScreen } from "./query/QueryScreen";
import { TrayProvider } from "./query/tray";
import type { Route, Router } from "./routes";
import { RecordScreen, RunScreen, RunsScreen } from "./run";
import type { Failure, Host, Project } from "./types";

export function App(props: { host: Host; router: Router; frame: HTMLElement; keyboard: EventTarget }) {
  const { host, router, frame, keyboard } = props;
  const [project, setProject] = useState<Project | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [route, setRoute] = useState(router.now());
  const [said, say] = useState("");
  const main = useRef<HTMLElement>(null);

  const refresh = useCallback(
    () => host.call("project", {}).then(setProject, (error: unknown) => setFailure(asFailure(error))), [host],
  );
  useEffect(() => void (host.mode === "report" || refresh()), [host, refresh]);
  useEffect(() => router.watch(() => setRoute(router.now())), [router]);
  // A new screen is read from its beginning: focus goes there, unless it is already at something in it.
  const first = useRef(true);
  const screen = JSON.stringify(route);
  useEffect(() => {
    if (host.mode === "page") document.title = project ? `${titleOf(route)}${project.title || "Rain"}` : "Rain";
  }, [host, screen, project]);
  useEffect(() => {
    if (first.current) return void (first.current = false);
    const at = (frame.getRootNode() as ShadowRoot).activeElement;
    if (!at || at === main.current || !main.current?.contains(at)) main.current?.focus({ preventScroll: true });
    if (host.mode === "page") scrollTo(0, 0);
  }, [host, frame, screen]);

  const speak = useCallback((text: string) => {
    say("");
    requestAnimationFrame(() => say(text));
  }, []);
  const view = useMemo<View>(
    () => ({ host, router, frame, keyboard, project, refresh, say: speak }),
    [host, router, frame, keyboard, project, refresh, speak],
  );
  const ready = project !== null || host.mode === "report";
  // A notebook has landmarks of its own: what is in its cells is none.
  const Main = host.mode === "notebook" ? "div" : "main";
  return (
    <Here.Provider value={view}>
      <TrayProvider>
        <Head route={route} />
        <Main class="screen" ref={main as RefObject<HTMLDivElement>} tabIndex={-1}>
          {failure && <FailureBox failure={failure} />}
          {!ready && !failure && <p class="quiet waiting" role="status">Opening…</p>}
          {ready && <Held key={screen}><Screen route={route} /></Held>}
        </Main>
        <p class="spoken" role="status" aria-live="polite">{said}</p>
      </TrayProvider>
    </Here.Provider>
  );
}

function Head({ route }: { route: Route }) {
  const { host, project } = useView();
  const Top = host.mode === "notebook" ? "div" : "header";
  const runs = route.screen === "runs" || route.screen === "run" || route.screen === "record";
  return (
    <Top class="head">
      <span class="brand"><Drop /> Rain</span>
      <span class="title">{project?.title}</span>
      {host.mode !== "report" && (
        <nav aria-label="Screens">
          <Link to={{ screen: "home" }} current={!runs}>Queries</Link>
          <Link to={{ screen: "runs" }} current={runs}>Runs</Link>
        </nav>
      )}
      <Help />
    </Top>
  );
}

function Screen({ route }: { route: Route }) {
  switch (route.screen) {
    case "home": return <QueryScreen name={null} />;
    case "new": return <QueryScreen name={null} blank />;
    case "query": return <QueryScreen name={route.name} key={route.name} />;
    case "runs": return <RunsScreen />;
    case "run": return <RunScreen id={route.id} key={route.id} />;
    case "record": return <RecordScreen model={route.model} record={route.key} key={`${route.model}/${route.key}`} />;
  }
}

/** A defect in one screen leaves the ways to the others. */
class Held extends Component<{ children: ComponentChildren }, { error: unknown }> {
  state = { error: null as unknown };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  render() {
    if (this.state.error === null) return this.props.children;
    const { message } = asFailure(this.state.error);
    return <FailureBox failure={failed("Defect", `This screen could not be drawn: ${message}`, "This is a defect of Rain: please report it.")} />;
  }
}

function titleOf(route: Route): string {
  switch (route.screen) {
    case "query": return `${route.name} · `;
    case "runs": return "Runs · ";
    case "run": return `Run ${route.id} · `;
    case "record": return `${route.model} ${route.key} · `;
    default: return "";
  }
}

function Drop() {
  return (
    <svg class="drop" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d="M8 1.2c2.6 3.2 4.6 5.9 4.6 8.5a4.6 4.6 0 0 1-9.2 0c0-2.6 2-5.3 4.6-8.5z" />
    </svg>
  );
}
