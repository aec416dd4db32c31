"""A database with models in it: connect, create models, query, debug."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from rain_debug.complaints import Cell, Complaint, Judge, Loss, Scale
from rain_debug.data import Records
from rain_debug.database.nested import NestedQuery
from rain_debug.database.options import estimator_from_options, with_features
from rain_debug.database.predictions import prediction_query
from rain_debug.database.query import Query
from rain_debug.database.record import TrainingRecord, find
from rain_debug.database.trusted import trusted
from rain_debug.debugger import Background, Round, Trained, Until, debug
from rain_debug.engines import DuckDB, Table, open_duckdb
from rain_debug.errors import DataError, EngineError, ModelError, SQLError, nearest
from rain_debug.fixes import Fixing
from rain_debug.lineage import DOUBT, Plane, Predictor, materialise, one_pass_sql, prepare_sources, rows_key
from rain_debug.models import Model, adapt, is_file_name, load_estimator
from rain_debug.notebook import widget
from rain_debug.report import Report
from rain_debug.report.grid import Grid
from rain_debug.sql import (
    CreateModel,
    DropModel,
    Expr,
    ModelInfo,
    Plan,
    Relation,
    invalid,
    is_flat,
    is_unsupported,
    parse_statement,
    plan_nested,
    plan_query,
    quote,
)
from rain_debug.web import serve

if TYPE_CHECKING:
    from rain_debug.web.server import Server


@dataclass
class ModelHandle:
    """A registered model: its adapter, its training records, its parameters and what else queries call it.

    `theta` (n_params,) are the parameters that predictions are made with.
    """

    name: str
    model: Model = field(repr=False)
    records: Records | None = field(repr=False)
    theta: np.ndarray = field(repr=False)
    key: str | None = None
    aliases: tuple[str, ...] = ()
    label: str | None = None

    @property
    def info(self) -> ModelInfo:
        """What queries need to know of it."""
        return ModelInfo(self.name, tuple(self.model.features), tuple(self.model.classes), self.label)

    def about(self) -> dict[str, str]:
        """What it is, in words: kind, features, classes, records."""
        features, classes = self.model.features, self.model.classes
        shown = ", ".join(features[:8]) + (f", … ({len(features):,} in all)" if len(features) > 8 else "")
        own = self.records
        about = {
            "name": self.name,
            "estimator": type(self.estimator).__name__,
            "features": shown,
            "predicts": ", ".join(map(str, classes[:12])) if classes else "a number",
            "trained on": f"{own.n_records:,} records" if own is not None else "handed over fitted, without records",
        }
        named = {"label": self.label, "key": self.key, "also called": ", ".join(self.aliases)}
        return {**about, **{what: text for what, text in named.items() if text}}

    def _repr_html_(self) -> str:
        return Grid(("", "model"), tuple(self.about().items()), cell=200).to_html(20)

    @property
    def estimator(self) -> Any:
        """A fitted copy of the estimator."""
        return self.model.estimator(self.theta)


def connect(source: Any = ":memory:") -> Database:
    """A database to query with predictions.

    `source` is the path of a DuckDB, CSV, Parquet or JSON file, ":memory:", an open DuckDB connection, or a dictionary
    of named data frames, `Table`s, dictionaries of arrays, or paths. A file is opened read-only; what Rain writes are
    temporary tables. EngineError where it cannot be opened.

    >>> db = connect({"users": {"id": np.arange(4), "visits": np.array([0.0, 1.0, 8.0, 9.0])}})
    >>> db.tables
    ('users',)
    """
    return Database(open_duckdb(source))


class Database:
    """A database with models in it; made by `connect`."""

    def __init__(self, engine: DuckDB) -> None:
        self.engine = engine
        self._models: dict[str, ModelHandle] = {}
        self._numbers = itertools.count(1)
        self._names = itertools.count(1)
        self._predictions: dict[tuple[Any, ...], tuple[Query, tuple[str, ...]]] = {}
        self._stale: list[str] = []
        self._kept: dict[Any, str] = {}
        self._asked: set[Any] = set()

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the database's tables and views."""
        return tuple(self.engine.tables())

    @property
    def models(self) -> Mapping[str, ModelHandle]:
        """The registered models by name."""
        return dict(self._models)

    def close(self) -> None:
        """Let go of the database and its files, also at the end of a `with`; answers and reports stay readable."""
        self.engine.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        models = ", ".join(self._models) or "none"
        return f"<Database: tables {', '.join(self.tables) or 'none'}; models {models}>"

    def _repr_html_(self) -> str:
        rows = tuple((t, ", ".join(c for c, _ in self.engine.types(f"SELECT * FROM {quote(t)}"))) for t in self.tables)
        tables = Grid(("table", "columns"), rows, cell=200).to_html(50)
        return tables + "".join(m._repr_html_() for m in self._models.values())

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
        trusted: Sequence[str] = (),
        trust_pickle: bool = False,
        replace: bool = True,
    ) -> ModelHandle:
        """Register a model: `estimator` is a scikit-learn LogisticRegression, Ridge, LinearRegression, or a Pipeline.

        It may be a torch.nn.Module or a TorchClassifier too, and a Pipeline ends in one of these. `training` is a
        SELECT, or a data frame; `key` names the column that identifies a record (without it records are numbered from
        0), `label` the class or the number, `features` the inputs (by default all other columns), `weight` the sample
        weights. An estimator that is not fitted yet is fitted here. `aliases` are further names in queries. ModelError
        and DataError say what a model cannot be trained on.

        `estimator` may also be the path of a skops file; `trusted` names types in it beyond scikit-learn's own, as
        "module.Class". A pickle runs the code that it brings along, and is opened only with `trust_pickle`.
        """
        if not isinstance(name, str) or not name:
            raise ModelError(f"a model's name is text, not {name!r}", hint="create_model('churn', …)")
        for known in (name, *aliases):
            holder = self._find(known)
            if holder is not None and (holder.name.lower() != name.lower() or not replace):
                raise ModelError(
                    f"there is a model '{known}' already", hint="DROP MODEL it first, or choose another name"
                )
        where = f"model '{name}'"
        if is_file_name(estimator):
            estimator = load_estimator(estimator, where=where, trusted=trusted, trust_pickle=trust_pickle)
        if training is None and features is not None:
            estimator = with_features(estimator, features, where)
        model = adapt(estimator, where=where)
        records: Records | None = None
        theta = model.initial()
        if training is None:
            if theta is None:
                raise ModelError(
                    "the model is not fitted, and there is no training data",
                    where=where,
                    hint="give training=SELECT or frame and label=…; or a fitted estimator to query with only",
                )
            if not model.features:
                raise ModelError("the fitted model does not know its features' names", where=where,
                                 hint="fit it on a data frame, or give training data and features=…")  # fmt: skip
        else:
            if label is None:
                raise ModelError("which column is the label?", where=where, hint="give label='…'")
            records = model.bind(self._training(training, where), label, features, key, weight)
            theta = model.initial()
            if theta is None:
                theta = model.fit(records, np.ones(records.n_records, dtype=bool), None).theta
        assert theta is not None
        handle = ModelHandle(name, model, records, theta, key, tuple(aliases), label)
        self.drop_model(name, missing_ok=True)
        self._models[name] = handle
        return handle

    def drop_model(self, name: str, *, missing_ok: bool = False) -> None:
        """Forget a model; ModelError where there is none of that name."""
        handle = self._find(name)
        if handle is None:
            if missing_ok:
                return
            raise ModelError(f"there is no model '{name}'", hint=nearest(name, self._models))
        del self._models[handle.name]
        self._predictions = {k: v for k, v in self._predictions.items() if k[0] != handle.name}

    def _training(self, training: Any, where: str) -> Table:
        if isinstance(training, Table):
            return training
        if isinstance(training, str):
            try:
                return self.engine.table(training)
            except EngineError as error:
                raise EngineError(error.message, where=f"training query of {where}\n    {training.strip()}",
                                  hint=f"tables: {', '.join(self.tables) or 'none'}") from None  # fmt: skip
        with_frame = open_duckdb({"training": training})
        return with_frame.table("SELECT * FROM training")

    def _find(self, name: str) -> ModelHandle | None:
        wanted = name.lower()
        for handle in self._models.values():
            if wanted == handle.name.lower() or wanted in (a.lower() for a in handle.aliases):
                return handle
        return None

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
        plan: Plan | None = None
        try:
            plan = plan_query(sql, self, self.engine.dialect)
        except SQLError as error:
            if not is_unsupported(error):
                raise
        if plan is None or not is_flat(plan):  # outside the handler: its errors are not about the flat block
            return self._nested(sql, name)
        infos = {a.model: self._handle(a.model).info for a in plan.atoms}
        query = Query(self, plan, infos, name or f"query {next(self._names)}")
        if plan.is_aggregate:
            query.answer  # noqa: B018 - an aggregate's answer is small: its errors should come now
        return query

    def _nested(self, sql: str, name: str | None) -> Query:
        nested = plan_nested(sql, self, self.engine.dialect)
        infos = {a.model: self._handle(a.model).info for a in nested.rows.atoms}
        query = NestedQuery(self, nested, infos, name or f"query {next(self._names)}")
        try:
            query.answer  # noqa: B018 - errors of the whole text should come now
        except EngineError as error:
            raise (invalid(sql, self, self.engine.dialect) or error) from None
        return query

    def execute(self, sql: str) -> ModelHandle | Query | None:
        """Run `CREATE MODEL … AS SELECT …` (the model), `DROP MODEL …` (None), or a query (as `query` does)."""
        statement = parse_statement(sql, self.engine.dialect)
        if isinstance(statement, DropModel):
            self.drop_model(statement.name, missing_ok=statement.if_exists)
            return None
        if isinstance(statement, CreateModel):
            existing = self._find(statement.name)
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
    ) -> Report:
        """The training records responsible for what `complaints` say, and the answer after they are fixed.

        Removes up to `budget` records, `step` a round, and refits; `fix="relabel"`, `"auto"` or a function that repairs
        a `Table` of records does something else to them; `spare` names records that are right and
        stay as they are. It stops when every complaint is resolved in the exact
        answer, or, `until="budget"`, only when the budget is spent. Ctrl-C keeps what is done. See
        `rain_debug.debugger.debug` for the settings.
        """
        run = debug(
            self, complaints, budget=budget, step=step, ranker=ranker, until=until, judge=judge, scale=scale, loss=loss,
            damping=damping, seed=seed, options=options, fix=fix, spare=spare, progress=progress, on_round=on_round,
        )  # fmt: skip
        return Report(run, Background(self, {m.name: self.trained(m.name) for m in run.models}))

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
        return self._training(source, "the rows given")

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

    # -- what queries ask ---------------------------------------------------------------------------------------

    def materialise(
        self, plan: Plan, models: Mapping[str, ModelInfo], name: str, thetas: Mapping[str, np.ndarray]
    ) -> dict[tuple[str, ...], str]:
        """Predictions at `thetas` (or the models' own parameters) as temporary tables; identity → table name."""
        while self._stale:
            self.engine.drop(self._stale.pop())
        kept = self._kept if self.engine.read_only and not thetas else None
        return materialise(plan, self.engine, models, self._predictor(plan, thetas), name, kept)

    def one_pass(
        self, plan: Plan, models: Mapping[str, ModelInfo], thetas: Mapping[str, np.ndarray], also: Sequence[Expr]
    ) -> Table | None:
        """The answer where the database can predict as it reads; None where predictions need tables of their own.

        Rows of a read-only file that are asked for a second time get such tables, for later queries to read.
        """
        predictor = self._predictor(plan, thetas)
        if not self.engine.is_own:
            return None
        if self.engine.read_only and not thetas:
            key = rows_key(plan, plan.atoms[0], predictor(plan.atoms[0].model))
            if key in self._asked or key in self._kept:
                return None
            self._asked.add(key)
        self.prepare(plan)
        sql = one_pass_sql(plan, self.engine, models, predictor, also)
        try:
            return self.engine.table(sql) if sql is not None else None
        except EngineError as error:
            if DOUBT in error.message:
                return None
            raise

    def _predictor(self, plan: Plan, thetas: Mapping[str, np.ndarray]) -> Callable[[str], Predictor]:
        def predictor(name: str) -> Predictor:
            handle = self._handle(name)
            theta = thetas.get(handle.name, handle.theta)
            names = {plan.source(a).relation for atom in plan.atoms if atom.model == name for a in atom.aliases}
            rows = f"rows of {' and '.join(sorted(names))} that model '{name}' predicts"

            def predict(table: Table, probabilities: bool) -> tuple[np.ndarray, np.ndarray | None]:
                try:
                    X = handle.model.encode(table, rows)
                except DataError as error:  # these rows are one batch of many: their numbers would mislead
                    message = re.sub(
                        r" in (row \d+|[\d,]+ rows \(the first is row [\d,]+\))", " in some rows", error.message
                    )
                    raise DataError(message, where=error.where, hint=error.hint) from None
                codes = handle.model.predict(X, theta)
                return codes, handle.model.probabilities(X, theta) if probabilities else None

            return Predictor(predict, _plane(handle.model.estimator(theta)))

        return predictor

    def prepare(self, plan: Plan) -> None:
        """Compute the derived tables that a plan's lineage reads."""
        prepare_sources(plan, self.engine)

    def forget(self, names: Sequence[str]) -> None:
        """Drop temporary tables of Rain's own, but for those that later queries read again."""
        for name in names:
            if name not in self._kept.values():
                self.engine.drop(name)

    def forget_later(self, names: Sequence[str]) -> None:
        """Drop them at the next occasion: the garbage collector may call while an answer is being read."""
        self._stale += [n for n in names if n not in self._kept.values()]

    def next_number(self) -> int:
        """A number that was not given before."""
        return next(self._numbers)

    # -- the planner's catalog ----------------------------------------------------------------------------------

    def relation(self, from_sql: str) -> Relation:
        """What a name in FROM stands for."""
        columns = tuple(self.engine.types(f"SELECT * FROM {from_sql}"))
        is_table = self.engine.is_table(from_sql)
        view = None if is_table or "(" in from_sql else self.engine.definition(from_sql)
        return Relation(self.engine.spelled_out(from_sql), columns, is_table, view)

    def relations(self) -> Sequence[str]:
        """Known tables and views."""
        return self.engine.tables()

    def is_aggregate(self, function: str) -> bool:
        """True where the engine has an aggregate of that name."""
        return self.engine.is_aggregate(function)

    def model(self, name: str) -> ModelInfo | None:
        """The model of that name or alias."""
        handle = self._find(name)
        return handle.info if handle is not None else None

    def _handle(self, name: str) -> ModelHandle:
        handle = self._find(name)
        if handle is None:
            raise ModelError(f"there is no model '{name}'", hint=nearest(name, self._models))
        return handle


def _plane(estimator: Any) -> Plane | None:
    """The weights of a fitted logistic regression of two classes; None for anything that is more than that."""
    if type(estimator) is not LogisticRegression or len(estimator.classes_) != 2:
        return None
    return Plane(tuple(map(float, estimator.coef_[0])), float(np.atleast_1d(estimator.intercept_)[0]))
