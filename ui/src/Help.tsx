/** The list of keys that `?` shows. */

import { useRef } from "preact/hooks";

import { KEYS, hits, shown, useKeys, type Key } from "./keys";

export function Help() {
  const box = useRef<HTMLDialogElement>(null);
  const toggle = () => (box.current?.open ? box.current.close() : box.current?.showModal());
  useKeys("Everywhere", { help: toggle });
  return (
    <>
      <button type="button" class="quiet-button" aria-label="Keys" title="Keys (?)" onClick={toggle}>?</button>
      <dialog
        ref={box} class="help" aria-label="Keys" onClick={(event) => event.target === box.current && toggle()}
        onKeyDown={(event) => {
          // Just closed, it has the focus until the page is drawn again: such a key is meant for the page.
          if (box.current?.open && !hits(event, KEYS.Everywhere.help)) event.stopPropagation();
        }}
      >
        <div class="help-body">
          <h2 tabIndex={-1} autofocus>Keys</h2>
          <div class="help-parts">
          {Object.entries(KEYS).map(([part, keys]) => (
            <section key={part}>
              <h3>{part}</h3>
              <dl>
                {Object.values(keys as Record<string, Key>).map((key) => (
                  <div key={key.does}>
                    <dt>{key.keys.map((each) => <kbd key={each}>{shown(each)}</kbd>)}</dt>
                    <dd>{key.does}</dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
          </div>
          <form method="dialog"><button class="button">Close</button></form>
        </div>
      </dialog>
    </>
  );
}
