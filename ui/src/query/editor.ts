/** The SQL editor: CodeMirror with the tables, columns and models of the project, and a line under what was refused. */

import { autocompletion, completionKeymap, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { SQLDialect, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, drawSelection, keymap, placeholder, tooltips, type DecorationSet } from "@codemirror/view";
import { tags } from "@lezer/highlight";

import type { Failure, Project } from "../types";

export interface Editor {
  text(): string;
  put(text: string): void;
  /** Draws a line under the fragment that a failure names; null takes it away. */
  underline(failure: Failure | null): void;
  focus(): void;
  gone(): void;
}

/** What queries are written in; `id` and `name` are columns, not words of the language. */
const duckdb = SQLDialect.define({
  keywords:
    "all and any anti as asc asof between both by case cast collate cross cube current desc distinct else end escape except " +
    "exclude exists false fetch filter first following for from full group grouping having ilike in inner intersect interval " +
    "into is isnull join last lateral left like limit natural not notnull null nulls of offset on or order outer over " +
    "partition pivot positional preceding qualify range recursive replace right rollup row rows sample select semi sets " +
    "similar similarity some table tablesample then ties to true unbounded union unpivot using values when where window with within",
  types:
    "bigint bit blob boolean bool char date decimal double float hugeint int integer json numeric real smallint text time " +
    "timestamp timestamptz tinyint uuid varchar",
  builtin: "",
  doubleDollarQuotedStrings: true,
  operatorChars: "+-*/<>=~!@#%^&|`?:",
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, class: "sql-keyword" },
  { tag: [tags.string, tags.special(tags.string)], class: "sql-string" },
  { tag: [tags.number, tags.bool, tags.null], class: "sql-number" },
  { tag: tags.typeName, class: "sql-type" },
  { tag: tags.comment, class: "sql-comment" },
]);

const setWrong = StateEffect.define<{ from: number; to: number } | null>();
const wrong = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(now, change) {
    for (const effect of change.effects) {
      if (effect.is(setWrong)) {
        const { value } = effect;
        return value ? Decoration.set(Decoration.mark({ class: "sql-wrong" }).range(value.from, value.to)) : Decoration.none;
      }
    }
    return change.docChanged ? Decoration.none : now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export function editor(
  parent: HTMLElement, root: ShadowRoot | Document, start: string, project: Project,
  on: { ask(): void; change(text: string): void; leave(): void },
): Editor {
  const language = new Compartment();
  const view = new EditorView({
    parent,
    root,
    state: EditorState.create({
      doc: start,
      extensions: [
        keymap.of([{ key: "Mod-Enter", run: () => (on.ask(), true) }]),
        autocompletion({ icons: false }),
        keymap.of([...completionKeymap, { key: "Escape", run: () => (on.leave(), true) }, ...historyKeymap, ...defaultKeymap]),
        history(), drawSelection(), bracketMatching(), EditorView.lineWrapping,
        syntaxHighlighting(colours), wrong, tooltips({ position: "absolute" }),
        placeholder("SELECT … predict(model, row) …"),
        language.of(languageOf(project)),
        EditorView.contentAttributes.of({ "aria-label": "SQL of the query", spellcheck: "false" }),
        EditorView.updateListener.of((update) => update.docChanged && on.change(update.state.doc.toString())),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    put(text) {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    underline(failure) {
      view.dispatch({ effects: setWrong.of(failure && rangeOf(view.state, failure)) });
    },
    focus: () => view.focus(),
    gone: () => view.destroy(),
  };
}

/** Where a failure's fragment stands: from its line and column, to its end or the end of the line. */
function rangeOf(state: EditorState, { line, column, fragment }: Failure): { from: number; to: number } | null {
  if (line === null || line < 1 || line > state.doc.lines) return null;
  const at = state.doc.line(line);
  const from = Math.min(at.from + Math.max(0, (column ?? 1) - 1), at.to);
  const to = Math.min(from + (fragment?.length || at.to - from), state.doc.length);
  return to > from ? { from, to } : at.to > at.from ? { from: at.from, to: at.to } : null;
}

function languageOf(project: Project) {
  const schema = Object.fromEntries(project.tables.map(({ name, columns }) => [name, columns.map((each) => each.name)]));
  const support = sql({ dialect: duckdb, schema, upperCaseKeywords: true });
  return [support, support.language.data.of({ autocomplete: models(project) })];
}

/** `predict(churn` and what goes with it; after `predict(`, the models' names. */
function models({ models }: Project) {
  const functions = ["predict", "predict_proba"];
  return (context: CompletionContext): CompletionResult | null => {
    const inside = context.matchBefore(/predict(_proba)?\(\s*\w*/i);
    if (inside) {
      const from = inside.from + inside.text.indexOf("(") + 1 + (inside.text.match(/\(\s*/)![0].length - 1);
      return { from, options: models.map(({ name, label, records }) => ({ label: name, type: "variable", detail: `model of ${label}, ${records} records` })) };
    }
    const word = context.matchBefore(/\w+/);
    if (!word && !context.explicit) return null;
    return {
      from: word?.from ?? context.pos,
      options: models.flatMap(({ name, label }) =>
        functions.map((each) => ({ label: `${each}(${name}, `, type: "function", detail: `${label} by ${name}`, boost: 1 }))),
    };
  };
}
