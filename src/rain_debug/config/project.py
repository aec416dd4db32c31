"""A project file as plain values: what database, models, queries and complaints it names. Nothing is run here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rain_debug.config.lines import lines_of
from rain_debug.config.section import Section, Source
from rain_debug.engines.opening import SERVERS
from rain_debug.errors import ConfigError, nearest
from rain_debug.passwords import without_passwords

VERSION = 1
DATASETS = ("shop", "adult", "dblp", "enron", "mnist", "telco_churn")
ESTIMATORS = ("logistic_regression",)
RANKERS = (
    "holistic", "rain", "two_step", "auto", "duti", "gradient_similarity",
    "loss", "confident", "self_influence", "random"
)  # fmt: skip
FIXES = ("delete", "relabel", "auto")
FILES = (".csv", ".tsv", ".parquet", ".json")
COMPARISONS = ("difference_to", "ratio_to")
CLAIMS = ("is", "should_be", "at_least", "at_most", "too_low", "too_high")
"""What a complaint about a value may say, one of them each."""


@dataclass(frozen=True)
class DatabaseSpec:
    """One of: a DuckDB file, a server's address, a bundled or public data set with its options, files by table name."""

    where: str
    path: Path | None = None
    url: str | None = None
    dataset: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelSpec:
    """A model: an estimator with its options, a CREATE MODEL statement, a Python function that makes one, or a file."""

    name: str
    where: str
    sql: str | None = None
    python: str | None = None
    file: Path | None = None
    weights: Path | None = None
    trusted: tuple[str, ...] = ()
    estimator: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    training: str | None = None
    key: str | None = None
    label: str | None = None
    features: tuple[str, ...] | None = None
    weight: str | None = None
    aliases: tuple[str, ...] = ()
    storage: Any = None
    dtype: Any = "float64"


@dataclass(frozen=True)
class QuerySpec:
    name: str
    where: str
    sql: str


@dataclass(frozen=True)
class ComplaintSpec:
    """A complaint about a cell or row of a query, or about one prediction of a model.

    `claim` is the method that says it (`should_be`, …, `should_exist`), `value` its argument, None where it takes none.
    `compared` is the method that compares the cell with the one at `against` first.
    """

    where: str
    claim: str
    value: Any = None
    tolerance: float | None = None
    query: str | None = None
    column: str | None = None
    place: dict[str, Any] = field(default_factory=dict)
    against: dict[str, Any] = field(default_factory=dict)
    compared: str | None = None
    model: str | None = None
    key: Any = None
    table: str | None = None


@dataclass(frozen=True)
class Project:
    """All that a project file says; `debug` holds the arguments of `Database.debug`, `bench` labels to make wrong.

    `extensions` are modules that are imported first, to register what they bring along.
    """

    file: Path
    database: DatabaseSpec
    models: tuple[ModelSpec, ...]
    queries: tuple[QuerySpec, ...]
    complaints: tuple[ComplaintSpec, ...]
    debug: dict[str, Any]
    bench: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


def load(path: str | Path) -> Project:
    """The project that the TOML file at `path` describes; ConfigError names file, line and key of what is wrong."""
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError("there is no such project file", where=str(file), hint="`rain init` writes one") from None
    except IsADirectoryError:
        raise ConfigError("a folder was named, not a project file", where=str(file), hint="name a .toml file") from None
    except UnicodeDecodeError as error:
        message = f"the project file is not UTF-8 text (byte {error.start})"
        raise ConfigError(message, where=str(file), hint="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"the project file cannot be read: {error.strerror}", where=str(file),
                          hint="look at its rights, and at the disk") from None  # fmt: skip
    return parse(text, file)


def parse(text: str, file: Path) -> Project:
    """The project in TOML `text`; relative paths in it start at `file`'s folder."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(file), hint="`rain init` writes an example") from None
    top = Section(Source(file, lines_of(text)), values, ())
    version = top.whole("version", VERSION)
    if version != VERSION:
        top.fail(f"version {version} of the project file is not known", "version", hint=f"version = {VERSION}")
    trusted = top.get("trust_python", bool, False)
    extensions = top.names("extensions") or ()
    if extensions and not trusted:
        top.fail(
            f"the extensions {', '.join(extensions)} are Python code, and this file does not allow that",
            "extensions",
            hint="if you trust the file and that code, add at its top: trust_python = true",
        )
    database = _database(top.section("database"), file.parent)
    models = tuple(_model(name, section, trusted, file.parent) for name, section in top.sections("models"))
    queries = tuple(_query(name, section) for name, section in top.sections("queries"))
    complaints = tuple(
        _complaint(s, [m.name for m in models], [q.name for q in queries]) for s in top.items("complaints")
    )
    debug = _debug(top.section("debug"), bool(extensions))
    bench = top.section("bench")
    corrupt = bench.names("corrupt") or ()
    bench.done()
    top.done()
    return Project(file, database, models, queries, complaints, debug, corrupt, extensions)


def _database(section: Section, folder: Path) -> DatabaseSpec:
    kind = section.only_one(("path", "url", "dataset", "tables"), "where the data is")
    where = section.place(kind)
    if kind == "path":
        path: str = section.get("path", str)
        if "://" in path:  # not repeated in the message: it may hold a password
            section.fail("an address is no path", "path", hint='url = "postgresql://…" names a server')
        spec = DatabaseSpec(where, path=_file(folder, path))
    elif kind == "url":
        spec = DatabaseSpec(where, url=_address(section))
    elif kind == "dataset":
        name = section.choice("dataset", DATASETS)
        options = section.section("options")
        spec = DatabaseSpec(where, dataset=name, options=dict(options.values))
    else:
        files = section.section("tables")
        tables = {name: _file(folder, files.get(name, str)) for name in files.values}
        for name, file in tables.items():
            if file.suffix.lower() not in FILES:
                files.fail(
                    f"table '{name}' is read from '{file.name}'",
                    name,
                    hint=f"name a file that ends in {', '.join(FILES)}",
                )
        spec = DatabaseSpec(where, tables=tables)
    section.done()
    return spec


def _address(section: Section) -> str:
    """A server's address without a password: a project file is read by many, and kept with its runs."""
    url: str = section.get("url", str)
    scheme, _, rest = url.partition("://")
    if scheme not in SERVERS:
        section.fail(
            f"{scheme if rest else 'such'} databases are not supported",
            "url",
            hint="write postgresql://user@host/database, or spark://local?users=/data/users.parquet",
        )
    if without_passwords(url) != url:
        section.fail(
            "this address has a password in it, and a project file is no place for one",
            "url",
            hint="leave it out, and put it in the environment variable PGPASSWORD or in ~/.pgpass",
        )
    return url


def _file(folder: Path, name: str) -> Path:
    return folder / Path(name).expanduser()


def _model(name: str, section: Section, trusted: bool, folder: Path) -> ModelSpec:
    kind = section.only_one(("estimator", "sql", "python", "file"), "what the model is")
    where = section.place()
    if kind == "sql":
        spec = ModelSpec(name, where, sql=section.get("sql", str))
        section.done()
        return spec
    python = section.get("python", str)
    if python is not None and not trusted:
        section.fail(
            f"model '{name}' runs Python code, '{python}', and this file does not allow that",
            "python",
            hint="if you trust the file and that code, add at its top: trust_python = true",
        )
    if python is not None and python.count(":") != 1:
        section.fail(
            f"'python' is '{python}'", "python", hint='name a module and a function: python = "my_models:churn"'
        )
    estimator = section.choice("estimator", ESTIMATORS)
    file = section.get("file", str)
    types = section.names("trusted") if file is not None else None
    weights = section.get("weights", str) if python is not None else None
    spec = ModelSpec(
        name,
        where,
        python=python,
        file=_file(folder, file) if file is not None else None,
        weights=_file(folder, weights) if weights is not None else None,
        trusted=types or (),
        estimator=estimator,
        options=_options(section) if estimator else {},
        training=section.need("training", str, 'training = "SELECT * FROM churn_training"'),
        label=section.need("label", str, 'label = "churned"'),
        key=section.get("key", str),
        features=section.names("features"),
        weight=section.get("weight", str),
        aliases=section.names("aliases") or (),
        storage=section.choice("storage", ("memory", "disk")),
        dtype=section.choice("dtype", ("float64", "float32")) or "float64",
    )
    section.done()
    return spec


def _options(section: Section) -> dict[str, Any]:
    """The estimator's own settings; the names are scikit-learn's."""
    c = section.number("C")
    if c is not None and not c > 0:
        section.fail(f"'C' must be positive, not {c:g}", "C", hint="C = 1.0; smaller is a stronger penalty")
    weights = section.values.get("class_weight")
    if section.has("class_weight") and weights != "balanced" and not isinstance(weights, dict):
        section.fail(
            f"'class_weight' is {weights!r}", "class_weight", hint='class_weight = "balanced", or a table {yes = 2.0}'
        )
    found = {
        "C": c,
        "class_weight": weights,
        "max_iter": section.whole("max_iter", least=1),
        "tol": section.number("tol", least=0.0),
        "fit_intercept": section.get("fit_intercept", bool),
        "scale": section.get("scale", bool),
        "text": section.get("text", str),
        "min_df": section.whole("min_df", least=1),
        "max_features": section.whole("max_features", least=1),
        "stop_words": section.choice("stop_words", ("english",)),
    }
    for key in ("min_df", "max_features", "stop_words"):
        if found[key] is not None and found["text"] is None:
            section.fail(f"'{key}' is about a text column, and none is named", key, hint='text = "body"')
    if found["text"] is not None:
        for key in ("scale", "features"):
            if section.has(key):
                section.fail(f"a model of a text column's words has no '{key}'", key, hint="drop this key, or 'text'")
    return {k: v for k, v in found.items() if v is not None}


def _query(name: str, section: Section) -> QuerySpec:
    spec = QuerySpec(
        name, section.place("sql"), section.need("sql", str, f'sql = """SELECT …""" under [queries.{name}]')
    )
    section.done()
    return spec


def _complaint(section: Section, models: list[str], queries: list[str]) -> ComplaintSpec:
    where = section.place()
    if section.only_one(("query", "model"), "what it is about") == "model":
        claims = ("should_be",)
        section.only_one(claims, "what is wrong")
        spec = ComplaintSpec(
            where,
            "should_be",
            section.values["should_be"],
            model=_known(section, "model", models, "models"),
            key=section.need("key", object, "key = 17"),
            table=section.get("table", str),
        )
    else:
        query = _known(section, "query", queries, "queries")
        place = dict(section.section("where").values)
        section.asked.append("where")
        if section.only_one((*CLAIMS, "exists"), "what is wrong") == "exists":
            claim = "should_exist" if section.get("exists", bool) else "should_not_exist"
            if section.has("column"):
                section.fail("a complaint that a row exists or not is about no column", "column", hint="drop this key")
            if not place:
                section.fail(
                    "which row should exist or not is not said", "exists", hint='where = {week = "2026-11-02"}'
                )
            spec = ComplaintSpec(where, claim, query=query, place=place)
        else:
            claim, value = _claim(section)
            tolerance = section.number("tolerance", least=0.0)
            if tolerance is not None and claim not in ("should_be", "is_right"):
                section.fail(
                    f"'tolerance' means nothing beside '{claim}'", "tolerance", hint="drop it, or use should_be"
                )
            row = claim == "is_right" and bool(place) and not section.has("column")
            column = None if row else section.need("column", str, 'column = "n"')
            compared = section.only_one(COMPARISONS, "what it is compared with", required=False)
            against = {} if compared is None else dict(section.section(compared).values)
            section.asked += [] if compared is None else [compared]
            spec = ComplaintSpec(where, claim, value, tolerance, query, column, place, against, compared)
    section.done()
    return spec


def _claim(section: Section) -> tuple[str, Any]:
    """The method that says it and its argument: `too_low = 5` is too_low(by=5), `is = "too_low"` is too_low()."""
    claim = section.only_one(CLAIMS, "what is wrong")
    assert claim is not None
    if claim == "is":
        return str(section.choice("is", ("too_low", "too_high", "right"))).replace("right", "is_right"), None
    if claim == "should_be" and isinstance(section.values[claim], str | bool):
        return claim, section.values[claim]
    if claim in ("too_low", "too_high") and section.values[claim] is True:
        return claim, None
    return claim, section.number(claim)


def _known(section: Section, key: str, names: list[str], table: str) -> str:
    name: str = section.get(key, str)
    if name not in names:
        section.fail(f"no {key} is named '{name}' under [{table}]", key, hint=nearest(name, names))
    return name


def _debug(section: Section, extended: bool) -> dict[str, Any]:
    """The arguments of a run; where there are extensions, which rankers there are is known once they are imported."""
    debug = {
        "budget": section.whole("budget", least=1),
        "step": section.whole("step", least=1),
        "ranker": section.get("ranker", str) if extended else section.choice("ranker", RANKERS),
        "until": section.choice("until", ("resolved", "budget")),
        "judge": section.choice("judge", ("exact", "relaxed")),
        "scale": section.choice("scale", ("relative", "none")),
        "loss": section.choice("loss", ("l1", "squared")),
        "damping": section.number("damping", least=0.0),
        "seed": section.whole("seed"),
        "fix": section.choice("fix", FIXES),
        "options": _ranker_options(section.section("options"), extended),
        "spare": _spared(section.section("spare")),
    }
    section.done()
    return {k: v for k, v in debug.items() if v is not None}


def _spared(section: Section) -> dict[str, Any] | None:
    """Keys of records that are right, by model; whether there are such records is known when they are read."""
    found = {model: section.get(model, list) for model in list(section.values)}
    section.done()
    return found or None


def _ranker_options(section: Section, extended: bool) -> dict[str, Any] | None:
    """The ranker's own settings; whether it has them is checked when it runs."""
    if extended:
        return dict(section.values) or None
    options = {
        "every_round": section.get("every_round", bool),
        "samples": section.whole("samples", least=1),
        "time_limit": section.number("time_limit"),
        "trust": section.number("trust", least=0.0),
        "prices": section.whole("prices", least=1),
        "steps": section.whole("steps", least=1),
    }
    section.done()
    return {k: v for k, v in options.items() if v is not None} or None
