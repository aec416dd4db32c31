"""Texts that try to get out of the database, to be typed where a query is asked for. The list only grows.

Each is whole SQL as a reader of DuckDB's manual would try it; `{file}` is a file beside the database that nobody may
read, `{out}` one that nobody may write. Those in `IN_QUERIES` read or write from inside a query that Rain would take.
"""

from __future__ import annotations

STATEMENTS = (
    "COPY (SELECT 1) TO '{out}'",
    "COPY users TO '{out}' (FORMAT parquet)",
    "COPY users FROM '{file}'",
    "EXPORT DATABASE '{out}'",
    "IMPORT DATABASE '{out}'",
    "ATTACH '{out}' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH rain_user",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL spatial FROM community",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '1TB'",
    "RESET memory_limit",
    "SET lock_configuration = false",
    "SET temp_directory = '/'",
    "SET threads = 64",
    "PRAGMA enable_external_access",
    "PRAGMA database_list",
    "PRAGMA memory_limit = '1TB'",
    "CREATE SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE TEMP MACRO lower(x) AS 'x'",
    "CREATE OR REPLACE VIEW users AS SELECT 1",
    "DROP TABLE users",
    "ALTER TABLE users RENAME TO others",
    "INSERT INTO users SELECT * FROM users",
    "UPDATE users SET fee = 0",
    "DELETE FROM users",
    "TRUNCATE users",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN TRANSACTION",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE SELECT 1",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SHOW TABLES",
    "DESCRIBE users",
    "SUMMARIZE users",
)

SOURCES = (
    "read_csv('{file}')",
    "read_csv_auto('{file}')",
    "read_text('{file}')",
    "read_blob('{file}')",
    "read_parquet('{file}')",
    "read_json('{file}')",
    "read_ndjson_objects('{file}')",
    "parquet_metadata('{file}')",
    "parquet_schema('{file}')",
    "sniff_csv('{file}')",
    "glob('{folder}/*')",
    "'{file}'",
    '"{file}"',
    "read_csv('http://127.0.0.1:1/x.csv')",
    "read_csv('https://example.org/x.csv')",
    "read_csv('s3://bucket/x.csv')",
    "read_text('/proc/self/environ')",
    "read_text('/etc/passwd')",
    "read_csv('/dev/stdin')",
    "sqlite_scan('{file}', 't')",
    "postgres_scan('host=127.0.0.1', 'public', 't')",
    "query('COPY (SELECT 1) TO ''{out}''')",
    "query('SELECT * FROM read_text(''{file}'')')",
    "query_table('{file}')",
    "arrow_scan(1, 2, 3)",
    "pandas_scan(1)",
    "python_map_function(1)",
    "secret_frame",
)
"""What may stand in FROM: `secret_frame` is a data frame that stands in the caller's own Python variables."""

WRITES = (
    "WITH x AS (DELETE FROM users RETURNING *) ",
    "WITH x AS MATERIALIZED (DELETE FROM users RETURNING *) ",
    "WITH x AS (INSERT INTO users SELECT * FROM users RETURNING *) ",
    "WITH x AS (UPDATE users SET fee = 0 RETURNING *) ",
    "WITH x AS (COPY (SELECT 1) TO '{out}') ",
    "WITH RECURSIVE x AS (DELETE FROM users RETURNING *) ",
    "WITH x AS (FROM (WITH y AS (DELETE FROM users RETURNING *) SELECT * FROM y)) ",
    "WITH x AS (/* */ DELETE FROM users RETURNING *) ",
)
"""What may stand before a SELECT; DuckDB calls the whole of it a SELECT."""

COUNT = "SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'"

IN_QUERIES = (
    *(f"SELECT count(*) AS n FROM users u, {source} s WHERE predict(churn, u) = 'yes'" for source in SOURCES),
    *(f"{COUNT} AND EXISTS (SELECT * FROM {source})" for source in SOURCES[:6]),
    *(f"WITH s AS (SELECT * FROM {source}) SELECT count(*) AS n FROM users u, s WHERE predict(churn, u) = 'yes'"
      for source in SOURCES[:6]),
    *(f"{write}{COUNT}" for write in WRITES),
    *(f"{write}SELECT count(*) AS n FROM users u, x WHERE predict(churn, u) = 'yes'" for write in WRITES),
    *(f"{COUNT}; {statement}" for statement in STATEMENTS[:10]),
    *(f"{COUNT} -- \n; {statement}" for statement in STATEMENTS[:3]),
    f"COPY ({COUNT}) TO '{{out}}'",
    f"EXPLAIN {COUNT}",
    f"CREATE TABLE t AS {COUNT}",
)  # fmt: skip

ATTEMPTS = (*STATEMENTS, *IN_QUERIES)
