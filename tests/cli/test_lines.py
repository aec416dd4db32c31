"""The line of each key of a TOML file."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rain_debug.config.lines import line_at, lines_of

TEXT = '''\
# a comment = "not a key"
version = 1

[database]   # [not.a.table]
path = "a # b.duckdb"

[models.churn]
training = """SELECT *
FROM t  -- x = 1
WHERE a = "b" """
features = [
  "a", # first
  "b",
]
"quoted key" = 1
options.deep.C = 2

[[complaints]]
where = { week = "2026-11-02", n = [1, {x = 2}] }
is = 'too_low'
[[complaints]]
[complaints.where]
week = 1979-05-27T07:32:00Z
'''


def test_lines() -> None:
    lines = lines_of(TEXT)
    assert lines[("version",)] == 2
    assert lines[("database",)] == 4
    assert lines[("database", "path")] == 5
    assert lines[("models", "churn")] == 7
    assert lines[("models", "churn", "training")] == 8
    assert lines[("models", "churn", "features")] == 11
    assert lines[("models", "churn", "features", 1)] == 13
    assert lines[("models", "churn", "quoted key")] == 15
    assert lines[("models", "churn", "options", "deep", "C")] == 16
    assert lines[("complaints", 0)] == 18
    assert lines[("complaints", 0, "where", "week")] == 19
    assert lines[("complaints", 0, "where", "n", 1, "x")] == 19
    assert lines[("complaints", 0, "is")] == 20
    assert lines[("complaints", 1)] == 21
    assert lines[("complaints", 1, "where")] == 22
    assert lines[("complaints", 1, "where", "week")] == 23
    assert not any("not" in str(k) for k in lines)
    assert line_at(lines, ("complaints", 1, "is")) == 21
    assert line_at(lines, ("nowhere",)) == 1


KEYS = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", "h_1"])
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "true",
        '"x # y"',
        "'lit\\'",
        '"""a\n"b"\n"""',
        "'''\n[x]\n'''",
        '"q\\"r"',
        "1979-05-27",
        '""',
        '""""x""""',
    ]
)


@given(st.lists(st.tuples(KEYS, VALUES, st.integers(0, 2), st.booleans()), max_size=8, unique_by=lambda t: t[0]))
def test_keys_are_found_after_any_value(pairs: list[tuple[str, str, int, bool]]) -> None:
    text, expected = "", {}
    for key, value, blank, wrapped in pairs:
        text += "\n" * blank
        expected[key.strip("\"'")] = text.count("\n") + 1
        text += f"{key} = [{value}, # c\n {{ {key} = 1 }}]\n" if wrapped else f"{key} = {value} # c = 1\n"
    lines = lines_of(text)
    assert {k[0]: v for k, v in lines.items() if len(k) == 1} == expected
