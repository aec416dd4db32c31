"""Where a public file stands: the user's folder first, then the cache, then its canonical address and mirrors.

Whatever is read is checked first. A download goes to a temporary file and appears under its name only once it is whole
and right, so that two processes may fetch at once and a killed one leaves nothing half done.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import sys
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from rain_debug.engines.folders import Folder
from rain_debug.errors import DatasetError
from rain_debug.version import __version__

TIMEOUT = 30.0
_CHUNK = 1 << 16


@dataclass(frozen=True)
class PublicFile:
    """One file of a public set: its name, what it must hold once unpacked, and the addresses in the order to try.

    `size` and `sha256` are of the unpacked bytes. Without `sha256`, `check` says what is wrong with them, or None, and
    `size` is a bound. `member` is the file's name where the addresses are of zip archives. A file ending in .gz is
    unpacked unless `name` ends so too.
    """

    name: str
    size: int
    sha256: str | None = None
    urls: tuple[str, ...] = ()
    member: str | None = None
    check: Callable[[bytes], str | None] | None = None

    def fault(self, data: bytes) -> str | None:
        """What is wrong with these unpacked bytes, None when nothing is.

        >>> PublicFile("a.csv", 3, hashlib.sha256(b"abc").hexdigest()).fault(b"ab")
        'it holds 2 bytes instead of 3'
        """
        if self.sha256 is not None:
            if len(data) != self.size:
                return f"it holds {len(data):,} bytes instead of {self.size:,}"
            found = hashlib.sha256(data).hexdigest()
            if found != self.sha256:
                return f"its sha256 is {found[:16]}… instead of {self.sha256[:16]}…"
        return self.check(data) if self.check else None


class _Unusable(Exception):
    """Bytes that are not the file: the reason, as part of a sentence."""


def cache_folder() -> Path:
    """The folder that downloads are kept in; XDG_CACHE_HOME, or the platform's own place."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "rain-debug"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rain-debug"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rain-debug" / "Cache"
    return Path.home() / ".cache" / "rain-debug"


def read(dataset: str, file: PublicFile, *, download: bool = True) -> bytes:
    """The file's unpacked, checked bytes; DatasetError says where it was looked for and what to do.

    Looked for as `file.name` and `file.name` + '.gz' in $RAIN_DATA/`dataset`, then in the cache; downloaded last.
    """
    faults: list[str] = []
    for path, ours in _places(dataset, file):
        try:
            return _checked(path.read_bytes(), file)
        except (OSError, _Unusable) as error:
            if not ours:  # we neither mend nor pass over what the user put there
                raise DatasetError(
                    f"{path.name} is not the file that the public set '{dataset}' has: {error}",
                    where=str(path),
                    hint="replace it, or remove it"
                    + (f" to have it downloaded from {file.urls[0]}" if file.urls else ""),
                ) from error
            faults.append(f"{path} ({error})")
    if download:
        for url in file.urls:
            try:
                return _download(dataset, file, url)
            except _Unusable as error:
                faults.append(f"{url} ({error})")
    address = f"from {file.urls[0]}, " if file.urls else ""
    raise DatasetError(
        f"{file.name} of the public set '{dataset}' is not on this machine"
        + (" and could not be downloaded" if download and file.urls else ""),
        where=f"looked in {looked_in(dataset)}; tried {'; '.join(faults) or 'no address'}",
        hint=f"put it ({address}as it is or as {file.name}.gz) into a folder '{dataset}' and name the folder around "
        "that in the environment variable RAIN_DATA" + ("; or connect to the network" if file.urls else ""),
    )


def present(dataset: str, name: str) -> Path | None:
    """The path of a file in $RAIN_DATA/`dataset` or in the cache, None where neither has it."""
    return next((path for path, _ in _places(dataset, PublicFile(name, 0))), None)


def _places(dataset: str, file: PublicFile) -> Iterator[tuple[Path, bool]]:
    """Existing candidates, and whether they lie in our own cache."""
    for folder, ours in ((_user_folder(), False), (cache_folder(), True)):
        if folder is not None:
            for name in (file.name, f"{file.name}.gz"):
                if (folder / dataset / name).is_file():
                    yield folder / dataset / name, ours


def _user_folder() -> Path | None:
    named = os.environ.get("RAIN_DATA")
    return Path(named) if named else None


def looked_in(dataset: str) -> str:
    """The folders that were looked in, for a message."""
    user = _user_folder()
    first = "$RAIN_DATA, which is not set" if user is None else str(user / dataset)
    if user is not None and not user.is_dir():
        first += " (RAIN_DATA names no folder)"
    return f"{first}; {cache_folder() / dataset}"


def _download(dataset: str, file: PublicFile, url: str) -> bytes:
    folder = cache_folder() / dataset
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = Folder(f".{file.name}-rain-", folder)
    except OSError as error:
        raise DatasetError(
            f"the cache for the public set '{dataset}' cannot be written: {error.strerror}",
            where=str(folder),
            hint="name another folder in XDG_CACHE_HOME, or put the files into one named by RAIN_DATA",
        ) from error
    partial = Path(beside.name) / file.name
    try:
        with partial.open("wb") as sink:
            packed = _transfer(url, file)
            data = _checked(packed, file)
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(partial, folder / file.name)
    except OSError as error:
        raise _Unusable(error.strerror or str(error)) from error
    finally:
        beside.cleanup()
    return data


def _transfer(url: str, file: PublicFile) -> bytes:
    """The bytes at an address, a bar on stderr where a person is looking."""
    request = urllib.request.Request(url, headers={"User-Agent": f"rain-debug/{__version__}"})
    limit = 2 * file.size + (32 << 20 if file.member else 1 << 20)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response, _bar() as bar:
            total = int(response.headers.get("Content-Length") or 0) or None
            task = bar.add_task(file.name, total=total)
            parts: list[bytes] = []
            done = 0
            while chunk := response.read(_CHUNK):
                parts.append(chunk)
                done += len(chunk)
                bar.update(task, completed=done)
                if done > limit:
                    raise _Unusable(f"it sends more than {limit:,} bytes")
    except urllib.error.HTTPError as error:
        raise _Unusable(f"HTTP {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Unusable(f"no connection: {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Unusable(f"the transfer broke off: {error or type(error).__name__}") from error
    if total is not None and done != total:
        raise _Unusable(f"the transfer ended after {done:,} of {total:,} bytes")
    return b"".join(parts)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty())


def _checked(packed: bytes, file: PublicFile) -> bytes:
    data = _unpacked(packed, file)
    if fault := file.fault(data):
        raise _Unusable(fault)
    return data


def _unpacked(packed: bytes, file: PublicFile) -> bytes:
    """The file's own bytes; never more than its size and one, whatever an archive claims, and never a path of its."""
    try:
        if file.member is not None and zipfile.is_zipfile(io.BytesIO(packed)):
            with zipfile.ZipFile(io.BytesIO(packed)) as archive, archive.open(file.member) as member:
                return member.read(file.size + 1)
        if packed[:2] == b"\x1f\x8b" and not file.name.endswith("gz"):
            with gzip.open(io.BytesIO(packed)) as stream:
                return stream.read(file.size + 1)
    except KeyError:
        raise _Unusable(f"the archive holds no {file.member}") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise _Unusable(f"it cannot be unpacked: {error}") from error
    return packed
