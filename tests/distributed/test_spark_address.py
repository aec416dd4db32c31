"""Tables of Spark by an address: what a user without Java, or with a slip in the address, reads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import rain_debug as rain
from rain_debug.config.project import parse
from rain_debug.engines.spark_address import parts
from rain_debug.errors import ConfigError, EngineError

ADDRESS = "spark://local?users=/data/users.parquet"


def test_without_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'rain-debug[spark]'")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(EngineError, match="Spark needs Java, which is not found") as caught:
        rain.connect(ADDRESS)
    assert "no `java` on PATH" in str(caught.value.where) and "install Java 17" in str(caught.value.hint)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    with pytest.raises(EngineError, match="needs Java") as caught:
        rain.connect(ADDRESS)
    assert caught.value.where == f"JAVA_HOME={tmp_path / 'jdk'}"


def test_a_java_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyspark = pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'rain-debug[spark]'")
    monkeypatch.setattr(pyspark.SparkContext, "_gateway", None)  # of a Java that another test started
    monkeypatch.setattr(pyspark.SparkContext, "_jvm", None)
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'UnsupportedClassVersionError' >&2\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(EngineError, match="Spark does not start") as caught:
        rain.connect(ADDRESS)
    assert str(java) in str(caught.value.where) and "Java 17" in str(caught.value.hint)


def test_without_pyspark_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(EngineError, match="Spark is not installed") as caught:
        rain.connect(ADDRESS)
    assert "rain-debug[spark]" in str(caught.value.hint)


def test_what_is_no_session_is_no_cluster() -> None:
    pytest.importorskip("torch", reason="the workers' sums meet by PyTorch")
    with pytest.raises(rain.errors.ClusterError, match="no session of Spark"):
        rain.cluster(spark=True)


@pytest.mark.parametrize("address", ["spark://local", "spark://local?", "spark://local?users", "spark://?users="])
def test_an_address_names_its_tables(address: str) -> None:
    with pytest.raises(EngineError, match="names no tables") as caught:
        rain.connect(address)
    assert "spark://local?users=/data" in str(caught.value.hint)
    assert parts("spark://local[2]?a=b") == ("local[2]", {"a": "b"})


def test_a_project_file_may_name_them(tmp_path: Path) -> None:
    text = '[database]\nurl = "{}"\n[queries.q]\nsql = "SELECT 1"\n'
    assert parse(text.format(ADDRESS), tmp_path / "shop.toml").database.url == ADDRESS
    with pytest.raises(ConfigError, match="snowflake databases are not supported") as caught:
        parse(text.format("snowflake://here"), tmp_path / "shop.toml")
    assert "or spark://local?users=" in str(caught.value.hint)
