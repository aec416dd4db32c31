"""Enron-Spam, enron1 to enron6: Metsis, Androutsopoulos, Paliouras, CEAS 2006.

The authors state no licence, and the mails name private people: the set is downloaded, never shipped. No checksum of
the archives is published. So the numbers of messages are checked, and for enron1 a digest of all its text.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import train_test_split

from rain_debug.datasets import catalogue
from rain_debug.datasets.corrupt import Corrupted, relabelled, with_column
from rain_debug.datasets.store import PublicFile, present, read
from rain_debug.engines.table import Table
from rain_debug.errors import DatasetError, nearest

COUNTS = {
    "enron1": (3672, 1500),
    "enron2": (4361, 1496),
    "enron3": (4012, 1500),
    "enron4": (1500, 4500),
    "enron5": (1500, 3675),
    "enron6": (1500, 4500),
}
"""Messages that are ham and spam, by corpus."""

DIGESTS = {"enron1": "ba3a55958303df3083b651a86798aeeb717497acdf8b55b0da5fce80b1e53285"}
"""sha256 of a corpus: of each message in the order of paths its path, a line feed, its text as below, a zero byte."""

HOLDING = "regexp_matches(text, '\\b{word}\\b')"
"""SQL for "the mail holds the word as a whole word"; `.format(word=…)`."""

_PATH = re.compile(r"(enron[1-6])/(ham|spam)/(\d{4,5})\.(\d{4}-\d\d-\d\d)\.(\w+)\.(?:ham|spam)\.txt")
_LARGEST = 1 << 24
_Message = tuple[str, str]


@dataclass(frozen=True)
class EnronSpam:
    """The `mails` in the order of paths: id from 1, corpus, label 'ham' or 'spam', date (ISO), mailbox, path, text.

    Text is read as latin-1 with line feeds alone; its first line starts with 'Subject: '. `word` and `seed` say which
    labels `frames` makes wrong.
    """

    mails: Table
    word: str | None = None
    seed: int = 0

    def corrupted(self, word: str | None, seed: int = 0) -> Corrupted:
        """The experiment of SIGMOD 2020, §6.2: four fifths of the mails to train on, all with `word` labelled spam."""
        labels = self.mails["label"].values
        halves = train_test_split(np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=seed)
        trained, queried = (np.sort(half) for half in halves)
        hit = trained[self.holding(word)[trained] & (labels[trained] == "ham")] if word else np.empty(0, dtype=int)
        plain = self.mails.select([n for n in self.mails if n not in ("label", "path", "mailbox")])
        return Corrupted(
            "enron",
            with_column(plain.take(trained), "label", relabelled(labels, hit, "spam")[trained]),
            plain.take(queried),
            ("text",),
            "label",
            self.mails["id"].values[hit],
            labels[queried],
        )

    def holding(self, word: str) -> np.ndarray:
        """Which mails hold `word` as a whole word, (n_mails,) bool: what `HOLDING` says in SQL."""
        pattern = re.compile(rf"\b{re.escape(word)}\b", re.ASCII)
        return np.array([pattern.search(text) is not None for text in self.mails["text"].values], dtype=bool)

    def vectoriser(self, min_df: int = 15) -> CountVectorizer:
        """Counts of words that at least `min_df` of all mails hold, without English stop words (3,362 of enron1)."""
        words = CountVectorizer(min_df=min_df, stop_words="english").fit(self.mails["text"].values)
        return CountVectorizer(stop_words="english", vocabulary=words.vocabulary_)

    def frames(self) -> dict[str, Table]:
        """`enron` and `enron_training`, with the labels that `word` and `seed` make wrong."""
        return self.corrupted(self.word, self.seed).frames()


def enron_spam(
    corpora: Sequence[str] = tuple(COUNTS), word: str | None = None, seed: int = 0, *, download: bool = True
) -> EnronSpam:
    """The mails of the `corpora`, from $RAIN_DATA/enron_spam (enron_spam.parquet, or the archives), the cache, or the
    authors' site; DatasetError where none has them."""
    unknown = [name for name in corpora if name not in COUNTS]
    if unknown:
        raise DatasetError(f"no corpus '{unknown[0]}' in Enron-Spam", hint=nearest(unknown[0], COUNTS))
    parquet = present("enron_spam", "enron_spam.parquet")
    messages: list[_Message] = []
    for name in sorted(set(corpora)):
        if parquet is not None:
            found = _of_parquet(str(parquet), name)
            if fault := _fault(name, found):
                raise DatasetError(
                    f"enron_spam.parquet is not the public set: in {name}, {fault}",
                    where=str(parquet),
                    hint=f"remove it to have {name}.tar.gz downloaded from {catalogue.ENRON}",
                )
        else:
            found = _of_archive(read("enron_spam", archive(name), download=download), name)
        messages += found
    return EnronSpam(_table(messages), word, seed)


def archive(name: str) -> PublicFile:
    """The archive of a corpus, as the authors publish it."""
    return PublicFile(
        f"{name}.tar.gz", _LARGEST, urls=(f"{catalogue.ENRON}{name}.tar.gz",), check=functools.partial(_check, name)
    )


def _check(name: str, data: bytes) -> str | None:
    try:
        return _fault(name, _of_archive(data, name))
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        return f"it is no archive of mails: {error}"


def _fault(name: str, messages: Sequence[_Message]) -> str | None:
    """What is wrong with a corpus. One spam mail of enron4 is absent from some copies, and may be."""
    ham, spam = (sum(f"/{label}/" in path for path, _ in messages) for label in ("ham", "spam"))
    wanted = COUNTS[name]
    if ham != wanted[0] or spam not in (wanted[1], wanted[1] - (name == "enron4")):
        return f"{ham:,} ham and {spam:,} spam mails were found instead of {wanted[0]:,} and {wanted[1]:,}"
    if name in DIGESTS and digest(messages) != DIGESTS[name]:
        return "the text differs from the published one"
    return None


def digest(messages: Sequence[_Message]) -> str:
    """The sha256 that `DIGESTS` describes."""
    total = hashlib.sha256()
    for path, text in messages:
        total.update(f"{path}\n{text}\0".encode("latin-1"))
    return total.hexdigest()


def _of_archive(data: bytes, name: str) -> list[_Message]:
    """(path, text) by path. Nothing is written to disk, and members that are no mail of the corpus are passed over."""
    messages: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        for member in tar:
            path = member.name.removeprefix("./")
            matched = _PATH.fullmatch(path)
            if not (member.isfile() and matched and matched[1] == name and member.size < _LARGEST):
                continue
            stream = tar.extractfile(member)
            assert stream is not None
            messages[path] = stream.read().decode("latin-1").replace("\r\n", "\n")
    return sorted(messages.items())


def _of_parquet(path: str, name: str) -> list[_Message]:
    with duckdb.connect() as con:
        found = con.execute("SELECT path, text FROM read_parquet(?) WHERE corpus = ? ORDER BY path", [path, name])
        return [(str(p), str(t)) for p, t in found.fetchall()]


def _table(messages: Sequence[_Message]) -> Table:
    parts = [_PATH.fullmatch(path) for path, _ in messages]
    names = {"corpus": 1, "label": 2, "date": 4, "mailbox": 5}
    columns = {name: [p[group] for p in parts if p] for name, group in names.items()}
    return Table.of(
        id=np.arange(1, len(messages) + 1),
        **columns,
        path=[path for path, _ in messages],
        text=[text for _, text in messages],
    )
