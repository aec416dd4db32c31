"""A database with models in it: connect, create models, query, debug."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Cell, Complaint, Judge, Loss, Scale
from rain_debug.database.nested import NestedQuery
from rain_debug.database.options import estimator_from_options
from rain_debug.database.own_tables import OwnTables
from rain_debug.database.predictions import prediction_query
from rain_debug.database.query import Query
from rain_debug.database.ready import MOST_READY, ready_plan
from rain_debug.database.record import TrainingRecord, find
from rain_debug.database.registry import ModelHandle, Registry
from rain_debug.database.training import Storage, training_table
from rain_debug.database.trusted import trusted
from rain_debug.debugger import Background, Round, Trained, Until, debug
from rain_debug.distributed import Cluster
from rain_debug.engines import Engine, Table, open_engine
from rain_debug.engines.scratch import StoredType
from rain_debug.errors import EngineError, ModelError, SQLError
from rain_debug.fixes import Fixing
from rain_debug.notebook import widget
from rain_debug.prepared import Prepared
from rain_debug.report import Report
from rain_debug.report.grid import Grid
from rain_debug.sql import (
    THIS,
    CreateModel,
    DropModel,
    ModelInfo,
    Nested,
    Relation,
    invalid,
    parse_statement,
    plan_nested,
    planned,
    quote,
)
from rain_debug.store import Journal
from rain_debug.web import serve

if TYPE_CHECKING:
    from rain_debug.web.server import Server


def connect(source: Any = ":memory:", *, untrusted: bool = False) -> Database:
    """A database to query with predictions.

    `source` is the path of a DuckDB, SQLite, CSV, Parquet or JSON file, ":memory:", a DuckDB connection, a dictionary
    of named data frames, `Table`s, dictionaries of arrays, or paths, or of frames of one Spark session; or a server's
    address, "postgresql://…", with the extra `postgres`. A file is opened read-only, a server's tables are only read;
    what Rain writes are temporary tables. EngineError where it cannot be opened.

    CSV, Parquet and JSON files are read by a worker with limits on memory and time, so that a damaged or hostile one is
    an error here; with `untrusted`, a DuckDB file too: its tables and views are copied into memory.

    >>> db = connect({"users": {"id": np.arange(4), "visits": np.array([0.0, 1.0, 8.0, 9.0])}})
    >>> db.tables
    ('users',)
    """
    return Database(open_engine(source, untrusted=untrusted))


class Database:
    """A database with models in it; made by `connect`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._registry = Registry(engine)
        self.own = OwnTables(engine, self._registry)
        self._names = itertools.count(1)
        self._predictions: dict[tuple[Any, ...], tuple[Query, tuple[str, ...]]] = {}

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the database's tables and views."""
        return tuple(self.engine.tables())

    @property
    def models(self) -> Mapping[str, ModelHandle]:
        """The registered models by name."""
        return self._registry.handles

    def close(self) -> None:
        """Let go of the database and its files, also at the end of a `with`; answers and reports stay readable."""
        self.engine.close()
        self._registry.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        models = ", ".join(self.models) or "none"
        return f"<Database: tables {', '.join(self.tables) or 'none'}; models {models}>"

    def _repr_html_(self) -> str:
        rows = tuple((t, ", ".join(c for c, _ in self.engine.types(f"SELECT * FROM {quote(t)}"))) for t in self.tables)
        tables = Grid(("table", "columns"), rows, cell=200).to_html(50)
        return tables + "".join(m._repr_html_() for m in self.models.values())

    def widget(self, *queries: Query, report: Report | None = None) -> Any:
        """The page in a notebook: these queries, and room for new ones; with a `report`, that run.

        ServeError where the extra `notebook` is not installed.
        """
        return widget(self, queries, report)

    def serve(
        self,
        *queries: Query,
        complaints: Sequence[Complaint] = (),
        browser: bool = True,
        wait: bool = True,
        **address: Any,
    ) -> Server:
        """The page in a browser: these queries and complaints, and room for new ones; until Ctrl-C, if `wait`.

        The database is locked first: statements that come later reach no further files and no network. `address` may
        hold port, host, allow_hosts, and runs, a folder that keeps the runs. ServeError where the extra `ui` is not
        installed, or the port cannot be had.
        """
        server = serve(self, queries, complaints, **address)
        server.show(browser=browser, wait=wait)
        return server

    # -- models -------------------------------------------------------------------------------------------------

    def create_model(
        self,
        name: str,
        estimator: Any,
        training: Any = None,
        *,
        key: str | None = None,
        label: str | None = None,
        features: Sequence[str] | None = None,
        weight: str | None = None,
        aliases: Sequence[str] = (),
        weights: str | Path | None = None,
        trusted: Sequence[str] = (),
        trust_pickle: bool = False,
        storage: Storage | Cluster | None = None,
        dtype: StoredType = "float64",
        replace: bool = True,
    ) -> ModelHandle:
        """Register a model: `estimator` is one of scikit-learn's linear models, trees, perceptrons, or a Pipeline.

        It may be of XGBoost or LightGBM, or a torch.nn.Module, alone or in a TorchClassifier or TorchRegressor, too.
        `training` is a SELECT, or a data frame; `key` names the column that identifies a record (without it records are
        numbered from 0), `label` the class or the number, `features` the inputs (by default all other columns),
        `weight` the sample weights. An estimator that is not fitted yet is fitted here. `aliases` are further names in
        queries. ModelError and DataError say what a model cannot be trained on.

        With `storage` "disk" the training set is written to a temporary folder and read in blocks, however large it is;
        `training` may then be memory-mapped arrays or a cursor too. Without it, such arrays are left where they are,
        and so is an answer that would fill half of the free memory. `dtype` is what a number of the design takes,
        "float32" half as much; sums are in double precision all the same. Both go with LogisticRegression, Ridge,
        LinearRegression and modules.

        With `storage` a `rain_debug.cluster(…)` its workers hold the training set between them; `training` is then a
        Parquet file that all of them can read, a folder or pattern of such files, or a list of these.

        `estimator` may also be the path of a skops file; `trusted` names types in it beyond scikit-learn's own, as
        "module.Class"; or of an ONNX file with a linear model or a plain network. `weights` is a safetensors file with
        the parameters of a module. A pickle runs the code that it brings along, and is opened only with `trust_pickle`.
        """
        made = self._registry.add(
            name, estimator, training, key=key, label=label, features=features, weight=weight, aliases=aliases,
            weights=weights, trusted=trusted, trust_pickle=trust_pickle, storage=storage, dtype=dtype, replace=replace,
        )  # fmt: skip
        self._forget_predictions(name)
        return made

    def drop_model(self, name: str, *, missing_ok: bool = False) -> None:
        """Forget a model; ModelError where there is none of that name."""
        if missing_ok and self._registry.find(name) is None:
            return
        self._forget_predictions(self._registry.drop(name).name)

    def _forget_predictions(self, model: str) -> None:
        self._predictions = {k: v for k, v in self._predictions.items() if k[0].lower() != model.lower()}

    # -- queries ------------------------------------------------------------------------------------------------

    def query(self, sql: str, *, name: str | None = None) -> Query:
        """A query over predictions; SQLError, the fragment underlined, where it is not supported.

        `name` is what reports call it.
        """
        if not isinstance(sql, str):
            raise SQLError(f"a query is text, not {type(sql).__name__}", hint="db.query('SELECT …')")
        statement = parse_statement(sql)
        if statement is not None:
            raise SQLError("this statement makes or drops a model: it has no answer", hint="use db.execute(…)")
        with self.engine.snapshot():
            return self._query(sql, name)

    def _query(self, sql: str, name: str | None) -> Query:
        found = planned(sql, self, self.engine.dialect)
        if isinstance(found, Nested):
            return self._nested(found, name)
        infos = {a.model: self._handle(a.model).info for a in found.atoms}
        query = Query(self, found, infos, name or f"query {next(self._names)}")
        if found.is_aggregate:
            query.answer  # noqa: B018 - an aggregate's answer is small: its errors should come now
        return query

    def _nested(self, nested: Nested, name: str | None) -> Query:
        infos = {a.model: self._handle(a.model).info for a in nested.rows.atoms}
        query = NestedQuery(self, nested, infos, name or f"query {next(self._names)}")
        try:
            query.answer  # noqa: B018 - errors of the whole text should come now
        except EngineError as error:
            raise (invalid(nested.sql, self, self.engine.dialect) or error) from None
        return query

    def execute(self, sql: str) -> ModelHandle | Query | None:
        """Run `CREATE MODEL … AS SELECT …` (the model), `DROP MODEL …` (None), or a query (as `query` does)."""
        statement = parse_statement(sql, self.engine.dialect)
        if isinstance(statement, DropModel):
            self.drop_model(statement.name, missing_ok=statement.if_exists)
            return None
        if isinstance(statement, CreateModel):
            existing = self._registry.find(statement.name)
            if existing is not None and statement.if_not_exists:
                return existing
            estimator, options = estimator_from_options(statement, sql)
            return self.create_model(
                statement.name, estimator, training=statement.training, replace=statement.replace, **options
            )
        return self.query(sql)

    def prediction(self, model: str, key: Any, *, table: str | None = None) -> Cell:
        """One input's prediction, to say what it should be: the row of `table` whose key column is `key`.

        The key column is the one that the model's training set has, or `id`; without `table` the one table that has it
        and the model's features. A dictionary names other columns: `db.prediction("churn", {"user_id": 7})`.
        """
        handle = self._handle(model)
        names = tuple(key) if isinstance(key, Mapping) else None
        asked = (handle.name, table, names)
        if asked not in self._predictions:
            self._predictions[asked] = prediction_query(self, handle, table, names, key)
        query, columns = self._predictions[asked]
        values = list(key.values()) if isinstance(key, Mapping) else [key]
        where = dict(zip(columns, values, strict=True))
        cell = query.cell("prediction", where=where)
        words = " and ".join(f"{k} = {v!r}" for k, v in where.items())
        return Cell(
            query, cell.column, cell.where, "class", cell.classes, label=f"the prediction of '{model}' for {words}"
        )

    def record(self, model: str, key: Any) -> TrainingRecord:
        """One training record of a model: what it moves, and what looks like it. DataError where there is none."""
        return find(self, self._handle(model), key)

    def trusted(
        self, model: str, rows: Any, *, label: str, key: str | None = None, table: str | None = None
    ) -> list[Complaint]:
        """Verified rows as complaints: every one's prediction should be the label that was checked.

        `rows` is a table's name, a SELECT, or a data frame, with the verified class in its column `label`, and in `key`
        what the row is found by among the queried ones of `table` (both as `prediction` takes them). ComplaintError
        for labels that are missing, that contradict each other or are no class, and for rows that are not there.

        >>> from sklearn.linear_model import LogisticRegression
        >>> x = np.arange(8.0)
        >>> past = Table.of(id=np.arange(8), x=x, y=np.array(["no"] * 4 + ["yes"] * 4, dtype=object))
        >>> db = connect({"past": past, "now": Table.of(id=np.arange(8), x=x)})
        >>> handle = db.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="y")
        >>> [c.describe() for c in db.trusted("m", {"id": [6], "truly": ["no"]}, label="truly")]
        ["the prediction of 'm' for id = 6 should be 'no'"]
        """
        return trusted(self, self._handle(model), rows, label, key, table)

    # -- debugging ----------------------------------------------------------------------------------------------

    def debug(
        self,
        complaints: Complaint | Sequence[Complaint],
        *,
        budget: int,
        step: int = 10,
        ranker: str = "holistic",
        until: Until = "resolved",
        judge: Judge = "exact",
        scale: Scale = "relative",
        loss: Loss = "l1",
        damping: float | None = None,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        fix: Fixing = "delete",
        spare: Mapping[str, Sequence[Any]] | Sequence[Any] | None = None,
        progress: bool | None = None,
        on_round: Callable[[Round], None] | None = None,
        run: str | Path | Journal | None = None,
        resume: bool = False,
    ) -> Report:
        """The training records responsible for what `complaints` say, and the answer after they are fixed.

        Removes up to `budget` records, `step` a round, and refits; `fix="relabel"`, `"auto"` or a function that repairs
        a `Table` of records does something else to them; `spare` names records that are right and
        stay as they are. It stops when every complaint is resolved in the exact
        answer, or, `until="budget"`, only when the budget is spent. Ctrl-C keeps what is done. `run` names a file
        into which every round is written: of a process that was killed, the same call with `resume` goes on from there,
        to the same report. StoreError where the file is taken. See `rain_debug.debugger.debug` for the settings.
        """
        own = Journal(run, resume=resume) if isinstance(run, str | Path) else nullcontext(run)
        with own as journal, self.engine.snapshot():
            found = debug(
                self, complaints, budget=budget, step=step, ranker=ranker, until=until, judge=judge, scale=scale,
                loss=loss, damping=damping, seed=seed, options=options, fix=fix, spare=spare, progress=progress,
                on_round=on_round, journal=journal,
            )  # fmt: skip
            report = Report(found, Background(self, {m.name: self.trained(m.name) for m in found.models}))
            if journal is not None and found.stopped != "interrupted":
                journal.end(found.stopped, report.summary)
        return report

    def prepare(
        self,
        *queries: Query,
        damping: float | None = None,
        folder: str | Path | None = None,
        background: bool = False,
        most: int = MOST_READY,
        eigenpairs: int | None = None,
    ) -> Prepared:
        """Make complaints about these queries quick: `prepared.rank(complaints)` is then a ranking without a solve.

        Every training record's influence on each predicted number in the first `most` rows of the answers is computed
        now, or with `background` while you go on; what has no number is prepared by row. Numbers beyond a gigabyte of
        scores, and other places, are computed when they are first complained about. A `folder` keeps the results for
        the next time, by the fingerprint of model, records and settings. `damping` is that of `debug`.
        With `eigenpairs` so many leading ones stand for the curvature (Rain++): nothing is solved, and any place costs
        a contraction, for a ranking near that of a run.

        >>> from sklearn.linear_model import LogisticRegression
        >>> x = np.arange(8.0)
        >>> db = connect({"t": Table.of(id=np.arange(8), x=x, y=np.array([0, 1, 0, 0, 0, 1, 1, 1]))})
        >>> handle = db.create_model("m", LogisticRegression(), "SELECT * FROM t", key="id", label="y")
        >>> query = db.query("SELECT count(*) AS n FROM t WHERE predict(m, t) = 1")
        >>> ready = db.prepare(query)
        >>> ready, ready.rank(query.cell("n").too_high()).first(2).column("key")
        (<Prepared: 1 cells>, [5, 6])
        """
        return Prepared(self, ready_plan(self, queries, damping, folder, most, eigenpairs), background=background)

    def trained(self, model: str) -> Trained:
        """The model with its training records, for the debugger; ModelError where it has none."""
        handle = self._handle(model)
        if handle.records is None:
            raise ModelError(
                f"model '{handle.name}' has no training records: nothing can be removed from them",
                hint="create it with training=… and label=…",
            )
        return Trained(handle.model, handle.records, handle.theta, handle.label or "", handle.key or "")

    def rows_of(self, source: Any) -> Table:
        """The rows of a SELECT or a data frame, as training data are given."""
        return training_table(self.engine, source, "the rows given", "memory", "float64", False)

    def as_nested(self, query: Query) -> NestedQuery:
        """The same query as a tree of blocks."""
        if isinstance(query, NestedQuery):
            return query
        nested = plan_nested(query.sql, self, self.engine.dialect)
        return NestedQuery(self, nested, {a.model: self._handle(a.model).info for a in nested.rows.atoms}, query.name)

    def predictions_of(self, blocks: Sequence[Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Probabilities (n_variables, n_classes), ŷ in one column for a regressor, and predictions of blocks."""
        P, hard = [], []
        for block in blocks:
            handle = self._handle(block.model)
            X = handle.model.encode(block.table, f"rows that model '{handle.name}' predicts")
            P.append(handle.model.probabilities(X, handle.theta))
            hard.append(handle.model.predict(X, handle.theta))
        return P, hard

    def residual_spread(self, model: str) -> float:
        """The standard deviation of a regressor's residuals on its training records; 0 where it has none."""
        handle = self._handle(model)
        return 0.0 if handle.records is None else handle.model.residual_spread(handle.records, None, handle.theta)

    def answers(self, queries: Sequence[Any], thetas: Mapping[str, np.ndarray]) -> list[Table]:
        """Each query's whole answer, computed by the database with predictions at `thetas`."""
        return [query.whole_answer(thetas) for query in queries]

    # -- the planner's catalog ----------------------------------------------------------------------------------

    def relation(self, from_sql: str) -> Relation:
        """What a name in FROM stands for."""
        columns = tuple(self.engine.types(f"SELECT * FROM {from_sql}"))
        rowid = self.engine.rowid(from_sql, THIS)
        view = None if rowid is not None or "(" in from_sql else self.engine.definition(from_sql)
        return Relation(self.engine.spelled_out(from_sql), columns, rowid, view)

    def relations(self) -> Sequence[str]:
        """Known tables and views."""
        return self.engine.tables()

    def is_aggregate(self, function: str) -> bool:
        """True where the engine has an aggregate of that name."""
        return self.engine.is_aggregate(function)

    def model(self, name: str) -> ModelInfo | None:
        """The model of that name or alias."""
        handle = self._registry.find(name)
        return handle.info if handle is not None else None

    def _handle(self, name: str) -> ModelHandle:
        return self._registry.get(name)
