"""The interfaces of `ui/src/types.ts` as something that values can be held to: a reader for the part of the language
that they are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TYPES = Path(__file__).resolve().parents[2] / "ui" / "src" / "types.ts"
_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_]\w*|[{}()\[\]<>|&;:,=?]|=>')
_PLAIN = {"string": str, "number": (int, float), "boolean": bool, "null": type(None), "unknown": object}


@dataclass(frozen=True)
class Type:
    """`kind`: plain, literal, name, list, tuple, object, record, union, all (&) or partial; `of`: made of what."""

    kind: str
    of: Any


class Contract:
    """The declared types by name; `wrong` says in how far a value is none of them."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
        self._tokens = _TOKEN.findall(re.sub(r"//[^\n]*", " ", text))
        self._at = 0
        self.types: dict[str, Type] = {}
        while self._at < len(self._tokens):
            self._declaration()

    def wrong(self, value: Any, kind: Type | str, where: str = "") -> list[str]:
        """Where `value` is not of that type, a line each; nothing where it is."""
        made = Type("name", kind) if isinstance(kind, str) else kind
        return getattr(self, f"_not_{made.kind}")(value, made.of, where or "it")

    def operation(self, group: str, name: str) -> Type:
        """What `Ops` or `Streams` says of one of its members."""
        return self.types[group].of[name][0]

    # -- values -------------------------------------------------------------------------------------------------

    def _not_plain(self, value: Any, of: str, where: str) -> list[str]:
        right = isinstance(value, _PLAIN[of]) and (of == "boolean" or of == "unknown" or not isinstance(value, bool))
        return [] if right else [f"{where} should be {of}: {value!r:.60}"]

    def _not_literal(self, value: Any, of: Any, where: str) -> list[str]:
        return [] if value == of and type(value) is type(of) else [f"{where} should be {of!r}: {value!r:.60}"]

    def _not_name(self, value: Any, of: str, where: str) -> list[str]:
        return self.wrong(value, self.types[of], where)

    def _not_list(self, value: Any, of: Type, where: str) -> list[str]:
        if not isinstance(value, list | tuple):
            return [f"{where} should be a list: {value!r:.60}"]
        return [line for i, item in enumerate(value) for line in self.wrong(item, of, f"{where}[{i}]")]

    def _not_tuple(self, value: Any, of: list[Type], where: str) -> list[str]:
        if not isinstance(value, list | tuple) or len(value) != len(of):
            return [f"{where} should be {len(of)} values: {value!r:.60}"]
        return [x for i, (item, kind) in enumerate(zip(value, of, strict=True))
                for x in self.wrong(item, kind, f"{where}[{i}]")]  # fmt: skip

    def _not_record(self, value: Any, of: Type, where: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{where} should be an object: {value!r:.60}"]
        return [line for name, item in value.items() for line in self.wrong(item, of, f"{where}.{name}")]

    def _not_object(self, value: Any, of: dict[str, tuple[Type, bool]], where: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{where} should be an object: {value!r:.60}"]
        found = [f"{where}.{name} is not in the contract" for name in value if name not in of]
        for name, (kind, optional) in of.items():
            if name in value:
                found += self.wrong(value[name], kind, f"{where}.{name}")
            elif not optional:
                found.append(f"{where}.{name} is missing")
        return found

    def _not_partial(self, value: Any, of: Type, where: str) -> list[str]:
        fields = {name: (kind, True) for name, (kind, _) in self._resolved(of).of.items()}
        return self._not_object(value, fields, where)

    def _not_all(self, value: Any, of: list[Type], where: str) -> list[str]:
        fields: dict[str, tuple[Type, bool]] = {}
        for part in of:
            fields |= self._resolved(part).of
        return self._not_object(value, fields, where)

    def _not_union(self, value: Any, of: list[Type], where: str) -> list[str]:
        found = [self.wrong(value, kind, where) for kind in of]
        return min(found, key=len) if all(found) else []

    def _resolved(self, kind: Type) -> Type:
        return self._resolved(self.types[kind.of]) if kind.kind == "name" else kind

    # -- text ---------------------------------------------------------------------------------------------------

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _is(self, token: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == token:
            self._at += 1
            return True
        return False

    def _need(self, token: str) -> None:
        found = self._next()
        assert found == token, f"{token} was expected, not {found}: {' '.join(self._tokens[self._at - 10 : self._at])}"

    def _declaration(self) -> None:
        self._need("export")
        what, name = self._next(), self._next()
        if what == "type":
            self._need("=")
            self.types[name] = self._type()
            self._is(";")
            return
        assert what == "interface"
        base = self._next() if self._is("extends") else None
        own = self._object()
        self.types[name] = Type("object", {**(self.types[base].of if base else {}), **own.of})

    def _type(self) -> Type:
        self._is("|")
        parts = [self._both()]
        while self._is("|"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Type("union", parts)

    def _both(self) -> Type:
        parts = [self._many()]
        while self._is("&"):
            parts.append(self._many())
        return parts[0] if len(parts) == 1 else Type("all", parts)

    def _many(self) -> Type:
        found = self._one()
        while self._is("["):
            self._need("]")
            found = Type("list", found)
        return found

    def _one(self) -> Type:
        token = self._next()
        if token == "(":
            found = self._type()
            self._need(")")
            return found
        if token == "[":
            parts = []
            while not self._is("]"):
                parts.append(self._type())
                self._is(",")
            return Type("tuple", parts)
        if token == "{":
            self._at -= 1
            return self._object()
        if token.startswith('"'):
            return Type("literal", token[1:-1])
        if token in _PLAIN:
            return Type("plain", token)
        if token in ("Record", "Partial"):
            self._need("<")
            first = self._type()
            second = self._type() if self._is(",") else None
            self._need(">")
            if token == "Partial":
                return Type("partial", first)
            return Type("object", {}) if second == Type("name", "never") else Type("record", second)
        return Type("name", token)

    def _object(self) -> Type:
        self._need("{")
        fields: dict[str, tuple[Type, bool]] = {}
        while not self._is("}"):
            name = self._next()
            optional = self._is("?")
            if self._tokens[self._at] in ("<", "("):  # a method: of no JSON
                self._skip_method()
                continue
            self._need(":")
            fields[name] = (self._type(), optional)
            if not self._is(";"):
                self._is(",")
        return Type("object", fields)

    def _skip_method(self) -> None:
        depth = 0
        while True:
            token = self._next()
            depth += (token in "({[") - (token in ")}]")
            if token == ";" and not depth:
                return


def contract() -> Contract:
    """The contract between page and host."""
    return Contract(TYPES.read_text(encoding="utf-8"))
