"""Fitted estimators from files. What a file is, its content says, not its name.

Unpickling runs code of the file's author, so pickles (joblib's too) are opened only for who trusts them. skops files
name the types that they hold, and only known ones are made.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rain_debug.errors import ModelError

MOST_BYTES = 4 << 30
"""Of a file's content once it is unpacked."""
INSTALL = "pip install 'rain-debug[models]'"
SAVE = "save it with skops: skops.io.dump(estimator, 'model.skops')"
TRUST = "if you trust whoever made the file: --trust-pickle, or create_model(…, trust_pickle=True)"


def is_file_name(estimator: Any) -> bool:
    """Whether what stands for an estimator is the name of a file.

    >>> is_file_name("model.skops"), is_file_name(object())
    (True, False)
    """
    return isinstance(estimator, str | os.PathLike)


def load_estimator(
    path: str | os.PathLike[str], *, where: str, trusted: Sequence[str] = (), trust_pickle: bool = False
) -> Any:
    """The estimator in a skops file, or in a pickle for `trust_pickle`; ModelError for anything else.

    `trusted` names further types that a skops file may hold, as "module.Class": making one may run its code.
    """
    file = Path(path)
    place = f"{where}, file {file}"
    try:
        kind = _kind(file)
    except FileNotFoundError:
        raise ModelError("there is no such model file", where=place, hint="check the path") from None
    except OSError as error:
        raise ModelError(f"the model file cannot be read: {error.strerror}", where=place) from None
    if kind == "skops":
        return _skops(file, place, trusted)
    if kind == "pickle":
        if not trust_pickle:
            raise ModelError("this is no skops file, and opening it as a pickle would run code that it brings along",
                             where=place, hint=f"{SAVE}; {TRUST}")  # fmt: skip
        return _pickle(file, place)
    raise ModelError(f"{kind} cannot be debugged: rain needs the estimator itself", where=place, hint=SAVE)


def _kind(file: Path) -> str:
    """What a file's first bytes and its table of contents say; what nothing else is may be a pickle of some kind."""
    with file.open("rb") as opened:
        head = opened.read(16)
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except Exception:  # a broken archive fails in many ways, and reading it says so
            return "skops"
        return "a PyTorch file" if any(n.endswith("data.pkl") for n in names) else "skops"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 27:
        return "a safetensors file"
    return "an ONNX file" if file.suffix.lower() == ".onnx" else "pickle"


def _skops(file: Path, place: str, trusted: Sequence[str]) -> Any:
    try:
        from skops import io
    except ImportError:
        raise ModelError("skops is not installed", where=place, hint=INSTALL) from None
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size <= MOST_BYTES:
            unknown = sorted(set(io.get_untrusted_types(file=file)) - set(trusted))
            if not unknown:
                return io.load(file, trusted=list(trusted))
    except Exception as error:  # broken files fail in many ways: as archives, as JSON, as arrays, as estimators
        raise ModelError(f"the model file is broken or no skops file: {type(error).__name__}", where=place,
                         hint=SAVE) from None  # fmt: skip
    if size > MOST_BYTES:
        raise ModelError(f"the model file unpacks to {size:,} bytes", where=place, hint=f"at most {MOST_BYTES:,}")
    raise ModelError(f"the model file holds types that are not known to be harmless: {', '.join(unknown[:10])}",
                     where=place, hint=f"if you trust them: trusted = {unknown[:10]}")  # fmt: skip


def _pickle(file: Path, place: str) -> Any:
    import joblib

    try:
        return joblib.load(file)
    except Exception as error:  # whatever the code in it does
        raise ModelError(
            f"the pickle cannot be opened: {type(error).__name__}: {str(error)[:200]}",
            where=place,
            hint="open it with the versions of Python and scikit-learn that made it",
        ) from None
