/** The screens of a run, of all runs, and of one record. */

export const RunScreen = ({ id }: { id: string }) => <h1>Run {id}</h1>;
export const RunsScreen = () => <h1>Runs</h1>;
export const RecordScreen = ({ model, record }: { model: string; record: string }) => <h1>{model} {record}</h1>;
