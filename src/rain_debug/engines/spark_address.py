"""Tables of Spark by an address, such as `spark://local?users=/data/users&orders=sales.orders`.

Before the question mark stands the master: `local`, `local[4]`, `host:7077`, or nothing, for what Spark is set to. What
follows names tables: each is a Parquet file or folder, which has a / in it, or a table of Spark's catalogue.
"""

from __future__ import annotations

import os
import shutil
from typing import Any
from urllib.parse import parse_qsl

from rain_debug.engines.spark import Spark, open_spark
from rain_debug.errors import EngineError

EXAMPLE = "spark://local?users=/data/users.parquet&orders=sales.orders"
NEEDS = "install Java 17 or newer, such as Debian's openjdk-17-jre-headless or one of adoptium.net; or set JAVA_HOME"


def open_spark_address(address: str) -> Spark:
    """The engine behind the tables that `address` names; EngineError where there is no Spark, no Java, or no table."""
    master, tables = parts(address)
    session = _session(master)
    from pyspark.errors import PySparkException

    frames = {}
    for name, source in tables.items():
        try:
            frames[name] = session.read.parquet(source) if "/" in source else session.table(source)
        except PySparkException as error:
            said = str(error).strip().split("\n")[0]
            raise EngineError(f"Spark says: {said}", where=f"table '{name}' of {address}",
                              hint=f"such as {EXAMPLE}") from None  # fmt: skip
    return open_spark(frames)


def parts(address: str) -> tuple[str | None, dict[str, str]]:
    """Spark's master, None for what it is set to, and the source of each table by name.

    >>> parts("spark://local?users=/data/us%20ers&orders=sales.orders")
    ('local[*]', {'users': '/data/us ers', 'orders': 'sales.orders'})
    >>> parts("spark://head:7077?users=s3a://shop/users")[0], parts("spark://?u=/u")[0]
    ('spark://head:7077', None)
    """
    master, _, query = address.partition("://")[2].partition("?")
    try:
        tables = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        tables = {}
    if not tables:
        raise EngineError("the address names no tables", where=address, hint=f"such as {EXAMPLE}")
    if not master:
        return None, tables
    if master.startswith("local"):
        return "local[*]" if master == "local" else master, tables
    return f"spark://{master}", tables


def _session(master: str | None) -> Any:
    """The session that there is, or a new one."""
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as error:
        if error.name != "pyspark":
            raise
        raise EngineError("Spark is not installed", hint="pip install 'rain-debug[spark]'") from None
    found = SparkSession.getActiveSession()
    if found is not None:
        return found
    if _java() is None:
        home = os.environ.get("JAVA_HOME")
        where = f"JAVA_HOME={home}" if home else "no `java` on PATH, and JAVA_HOME is not set"
        raise EngineError("Spark needs Java, which is not found", where=where, hint=NEEDS)
    builder = SparkSession.builder.appName("Rain").config("spark.ui.showConsoleProgress", "false")
    try:
        return (builder if master is None else builder.master(master)).getOrCreate()
    except (PySparkException, OSError) as error:
        said = str(error).strip().split("\n")[0]
        raise EngineError(f"Spark does not start: {said}", where=f"Java at {_java()}",
                          hint=f"look at what Spark has written above; {NEEDS}") from None  # fmt: skip


def _java() -> str | None:
    """The program that Spark starts."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=os.path.join(home, "bin")) if home else shutil.which("java")
