"""The loading code against a server on this machine, with small made-up files; then the real sets, where they stand."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import os
import struct
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from rain_debug import datasets
from rain_debug.datasets import catalogue, spam, store
from rain_debug.datasets.store import PublicFile
from rain_debug.errors import DatasetError

REAL = os.environ.get("RAIN_DATA")


@dataclass
class Server:
    """Paths and what they answer; `asked` counts the requests."""

    base: str = ""
    answers: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)

    def url(self, path: str, content: bytes | None = None) -> str:
        if content is not None:
            self.answers[path] = content
        return f"{self.base}/{path}"


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            state.asked[path] += 1
            if path not in state.answers:
                self.send_error(404, "Not Found")
                return
            content = state.answers[path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if path in state.cut else content)

        def log_message(self, *args: object) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.base = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=functools.partial(listening.serve_forever, poll_interval=0.01), daemon=True)
    thread.start()
    yield state
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty user folder and an empty cache; no proxy between us and the server."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("RAIN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield


CONTENT = b"id,x\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(400))


def _file(content: bytes, *urls: str, name: str = "a.csv", member: str | None = None) -> PublicFile:
    return PublicFile(name, len(content), hashlib.sha256(content).hexdigest(), urls, member)


def _zip(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return sink.getvalue()


def _cached(tmp_path: Path) -> list[str]:
    return sorted(str(p.relative_to(tmp_path / "cache")) for p in (tmp_path / "cache").rglob("*") if p.is_file())


def test_download_is_checked_kept_and_not_repeated(server: Server, tmp_path: Path) -> None:
    file = _file(CONTENT, server.url("a.csv", CONTENT))
    assert store.read("set", file) == CONTENT == store.read("set", file)
    assert server.asked == {"a.csv": 1}
    assert _cached(tmp_path) == ["rain-debug/set/a.csv"]


@pytest.mark.parametrize("pack", [gzip.compress, lambda c: _zip(a__csv=c, other=b"x")], ids=["gz", "zip"])
def test_packed_files_are_unpacked(server: Server, pack: Callable[[bytes], bytes]) -> None:
    assert store.read("set", _file(CONTENT, server.url("packed", pack(CONTENT)), member="a.csv")) == CONTENT


def test_mirrors_are_tried_in_order(server: Server) -> None:
    server.cut.add("cut")
    file = _file(
        CONTENT,
        server.url("gone"),
        server.url("wrong", CONTENT.replace(b"4", b"5")),
        server.url("short", CONTENT[:-1]),
        server.url("cut", CONTENT),
        server.url("broken.gz", gzip.compress(CONTENT)[:-9]),
        server.url("right", CONTENT),
        server.url("never", CONTENT),
    )
    assert store.read("set", file) == CONTENT
    assert list(server.asked) == ["gone", "wrong", "short", "cut", "broken.gz", "right"]


BAD: dict[str, tuple[bytes, str]] = {
    "wrong": (CONTENT.replace(b"4", b"5"), "sha256"),
    "short": (CONTENT[:-1], "bytes instead of"),
    "long": (CONTENT + b"x", "bytes instead of"),
    "page": (b"<html>Please sign in</html>", "bytes instead of"),
    "broken.gz": (gzip.compress(CONTENT)[:-9], "cannot be unpacked"),
    "bad.zip": (_zip(other=b"1"), "holds no a.csv"),
    "bomb.gz": (gzip.compress(bytes(1 << 24)), "bytes instead of"),
    "endless": (bytes(1 << 26), "sends more than"),
}


@pytest.mark.parametrize("path", BAD)
def test_a_wrong_file_is_refused_and_leaves_nothing(server: Server, tmp_path: Path, path: str) -> None:
    content, reason = BAD[path]
    with pytest.raises(DatasetError) as caught:
        store.read("set", _file(CONTENT, server.url(path, content), member="a.csv"))
    assert reason in str(caught.value) and server.base in str(caught.value)
    assert _cached(tmp_path) == []


def test_error_names_folders_addresses_and_remedy(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        store.read("set", _file(CONTENT, server.url("gone"), "http://127.0.0.1:9/offline"))
    text = str(caught.value)
    for part in (
        str(tmp_path / "data" / "set"),
        str(tmp_path / "cache" / "rain-debug" / "set"),
        "HTTP 404",
        "127.0.0.1:9/offline (no connection",
        "RAIN_DATA",
        "a.csv.gz",
    ):
        assert part in text
    with pytest.raises(DatasetError, match="tried no address"):
        store.read("set", _file(CONTENT, server.url("a", CONTENT)), download=False)
    assert server.asked["a"] == 0


def test_transfer_that_ends_early_is_named(server: Server) -> None:
    server.cut.add("cut")
    with pytest.raises(DatasetError, match=r"ended after [\d,]+ of [\d,]+ bytes|broke off"):
        store.read("set", _file(CONTENT, server.url("cut", CONTENT)))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_the_users_folder_comes_first_and_is_never_mended(server: Server, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data" / "set"
    folder.mkdir()
    pack = gzip.compress if name.endswith("gz") else bytes
    (folder / name).write_bytes(pack(CONTENT))
    file = _file(CONTENT, server.url("a", CONTENT))
    assert store.read("set", file) == CONTENT
    (folder / name).write_bytes(pack(CONTENT[:-1]))
    with pytest.raises(DatasetError, match="is not the file that the public set"):
        store.read("set", file)
    assert not server.asked


def test_a_damaged_copy_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "rain-debug" / "set"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"half")
    assert store.read("set", _file(CONTENT, server.url("a", CONTENT))) == CONTENT
    assert (folder / "a.csv").read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_is_named(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="XDG_CACHE_HOME"):
        store.read("set", _file(CONTENT, server.url("a", CONTENT)))


def test_many_readers_at_once(server: Server, tmp_path: Path) -> None:
    file, got = _file(CONTENT, server.url("a", CONTENT)), []
    threads = [threading.Thread(target=lambda: got.append(store.read("set", file))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [CONTENT] * 8 and _cached(tmp_path) == ["rain-debug/set/a.csv"]


def test_adult_from_an_archive(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    row = "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, ?, White, Male, 2174, 0, 40, Cuba, "
    train, test = f"{row}<=50K\n{row}>50K\n\n".encode(), f"|1x3 Cross validator\n{row}>50K.\n\n".encode()
    url = server.url("adult.zip", _zip(adult__data=train, adult__test=test))
    files = {
        "train": _file(train, url, name="adult.data", member="adult.data"),
        "test": _file(test, url, name="adult.test", member="adult.test"),
    }
    monkeypatch.setattr(catalogue, "ADULT", files)
    loaded = datasets.adult()
    assert loaded.train.n_rows == 2 and loaded.test["income"].to_list() == [">50K"]
    assert loaded.train.row(0)["relationship"] is None and loaded.train["age"].values.dtype == np.int64


def test_mnist_from_idx_files(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {}
    for part, n in (("train", 3), ("test", 2)):
        images = struct.pack(">4I", 2051, n, 28, 28) + bytes(i % 251 for i in range(n * 784))
        labels = struct.pack(">2I", 2049, n) + bytes(range(n))
        for kind, content in (("images", images), ("labels", labels)):
            name = f"{part} {kind}"
            files[name] = _file(content, server.url(f"{part}-{kind}.gz", gzip.compress(content)), name=name)
    monkeypatch.setattr(catalogue, "MNIST", files)
    loaded = datasets.mnist()
    assert loaded.images.shape == (5, 28, 28) and loaded.labels.tolist() == [0, 1, 2, 0, 1] and loaded.n_train == 3
    assert loaded.images[0, 0, :3].tolist() == [0, 1, 2]


def test_telco_blank_is_null(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"customerID,SeniorCitizen,TotalCharges,Churn\nA,0,29.85,No\nB,1, ,Yes\n"
    monkeypatch.setattr(catalogue, "TELCO", _file(content, server.url("telco", content), name="telco.csv"))
    customers = datasets.telco_churn().customers
    assert customers["TotalCharges"].to_list() == [29.85, None] and customers["SeniorCitizen"].to_list() == [0, 1]


def _mails(**extra: bytes) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as tar:
        mails = {
            "enron1/ham/0002.1999-12-13.farmer.ham.txt": b"Subject: gas\r\nhello \xe9\r\n",
            "enron1/spam/0001.2003-12-18.GP.spam.txt": b"Subject: deal\r\nhttp : / /\r\n",
            "enron1/Summary.txt": b"not a mail",
            "../../enron1/ham/0003.1999-12-13.farmer.ham.txt": b"climbs out",
            **extra,
        }
        for name, content in mails.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("enron1/ham/0009.1999-12-13.farmer.ham.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return sink.getvalue()


def test_enron_from_an_archive(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spam, "COUNTS", {"enron1": (1, 1)})
    monkeypatch.setattr(spam, "DIGESTS", {})
    monkeypatch.setattr(catalogue, "ENRON", server.url(""))
    server.answers["enron1.tar.gz"] = _mails()
    mails = datasets.enron_spam(["enron1"]).mails
    assert mails["label"].to_list() == ["ham", "spam"] and mails["date"].to_list() == ["1999-12-13", "2003-12-18"]
    assert mails["text"].to_list() == ["Subject: gas\nhello é\n", "Subject: deal\nhttp : / /\n"]
    assert mails["mailbox"].to_list() == ["farmer", "GP"]
    assert _cached(tmp_path) == ["rain-debug/enron_spam/enron1.tar.gz"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"<html>", "no archive of mails"),
        (_mails()[:-40], "no archive of mails"),
        (_mails(**{"enron1/ham/0007.1999-12-13.farmer.ham.txt": b""}), "2 ham and 1 spam"),
    ],
    ids=["page", "truncated", "one too many"],
)
def test_enron_refuses_other_archives(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    monkeypatch.setattr(spam, "COUNTS", {"enron1": (1, 1)})
    monkeypatch.setattr(spam, "DIGESTS", {"enron1": "0"})
    monkeypatch.setattr(catalogue, "ENRON", server.url(""))
    server.answers["enron1.tar.gz"] = answer
    with pytest.raises(DatasetError, match=reason):
        datasets.enron_spam(["enron1"])
    server.answers["enron1.tar.gz"] = _mails()
    with pytest.raises(DatasetError, match="text differs"):
        datasets.enron_spam(["enron1"])


def test_unknown_corpus_lists_the_known() -> None:
    with pytest.raises(DatasetError, match="did you mean 'enron1'"):
        datasets.enron_spam(["enron11"])


def test_dblp_says_that_its_file_has_no_address() -> None:
    with pytest.raises(DatasetError) as caught:
        datasets.dblp_scholar()
    for part in ("no public address", "RAIN_DATA", catalogue.DBLP.sha256 or "?"):
        assert part in str(caught.value)


def test_without_rain_data_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAIN_DATA")
    with pytest.raises(DatasetError, match="RAIN_DATA, which is not set"):
        datasets.dblp_scholar()
    monkeypatch.setenv("RAIN_DATA", "/nowhere/at/all")
    with pytest.raises(DatasetError, match="names no folder"):
        datasets.dblp_scholar()


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_cache_folder_by_platform(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(store.sys, "platform", system)
    folder = store.cache_folder()
    assert "rain-debug" in folder.parts and folder.is_relative_to(Path.home())


def test_addresses_are_whole() -> None:
    files = [*catalogue.ADULT.values(), *catalogue.MNIST.values(), catalogue.TELCO]
    assert all(url.startswith(("https://", "http://")) for f in files for url in f.urls)
    assert all(f.urls and len(f.sha256 or "") == 64 for f in files) and not catalogue.DBLP.urls
    assert replace(catalogue.TELCO, name="x").size == 970_457


@contextlib.contextmanager
def _real(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    if not REAL or not (Path(REAL) / name).is_dir():
        pytest.skip(f"{name} is in no folder that RAIN_DATA names; rain_debug.datasets.{name} says where it comes from")
    monkeypatch.setenv("RAIN_DATA", REAL)
    yield


def test_real_adult(monkeypatch: pytest.MonkeyPatch) -> None:
    with _real(monkeypatch, "adult"):
        a = datasets.adult(download=False)
    assert (a.train.n_rows, a.test.n_rows) == (32_561, 16_281)
    assert Counter(a.train["income"].to_list()) == {"<=50K": 24_720, ">50K": 7_841}
    assert set(a.test["income"].to_list()) == {"<=50K", ">50K"}


def test_real_dblp(monkeypatch: pytest.MonkeyPatch) -> None:
    with _real(monkeypatch, "dblp_scholar"):
        d = datasets.dblp_scholar()
    assert len(d.features) == 17 and Counter(d.pairs["label"].to_list()) == {"match": 264, "non-match": 5_000}
    assert len(set(d.pairs["id"].to_list())) == 5_264 and np.isfinite(d.pairs[d.features[0]].values).all()


def test_real_enron(monkeypatch: pytest.MonkeyPatch) -> None:
    with _real(monkeypatch, "enron_spam"):
        mails = datasets.enron_spam(["enron1", "enron4"], download=False).mails
    labels = Counter(zip(mails["corpus"].to_list(), mails["label"].to_list(), strict=True))
    assert labels[("enron1", "ham")] == 3_672 and labels[("enron1", "spam")] == 1_500
    assert all(text.startswith("Subject: ") for text in mails["text"].values)


def test_real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    with _real(monkeypatch, "mnist"):
        m = datasets.mnist(download=False)
    assert m.images.shape == (70_000, 28, 28) and m.n_train == 60_000 and np.bincount(m.labels)[1] == 7_877


def test_real_telco(monkeypatch: pytest.MonkeyPatch) -> None:
    with _real(monkeypatch, "telco_churn"):
        t = datasets.telco_churn(download=False).customers
    assert t.n_rows == 7_043 and Counter(t["Churn"].to_list()) == {"No": 5_174, "Yes": 1_869}
    assert t["TotalCharges"].to_list().count(None) == 11
