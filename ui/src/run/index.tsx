/** The screens of a run, of all runs, and of one record. */

export { RecordScreen } from "./RecordScreen";
export { RunScreen } from "./RunScreen";
export { RunsScreen } from "./RunsScreen";
