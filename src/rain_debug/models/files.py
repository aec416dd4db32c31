"""Fitted estimators from files. What a file is, its content says, not its name.

Unpickling runs code of the file's author, so pickles (joblib's too) are opened only for who trusts them. skops files
name the types that they hold, and only known ones are made; of ONNX and safetensors files only numbers are read.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rain_debug.errors import ModelError
from rain_debug.models.onnx import from_onnx

MOST_BYTES = 4 << 30
"""Of a file's content once it is unpacked."""
INSTALL = "pip install 'rain-debug[models]'"
SAVE = "save it with skops: skops.io.dump(estimator, 'model.skops')"
WEIGHTS = (
    "make the module in Python, and give the file as its weights: create_model(…, module, weights='net.safetensors')"
)
TENSORS = "safetensors.torch.save_file(module.state_dict(), 'net.safetensors') saves its weights without code"
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
    """The estimator in a skops or ONNX file, or in a pickle for `trust_pickle`; ModelError for anything else.

    `trusted` names further types that a skops file may hold, as "module.Class": making one may run its code.
    """
    file, place, kind = _told(path, where)
    if kind == "skops":
        return _skops(file, place, trusted)
    if kind == "onnx":
        return from_onnx(file, place)
    if kind == "pickle":
        if not trust_pickle:
            raise ModelError("this is no skops file, and opening it as a pickle would run code that it brings along",
                             where=place, hint=f"{SAVE}; {TRUST}")  # fmt: skip
        return _pickle(file, place)
    if kind == "safetensors":
        raise ModelError("a safetensors file holds numbers, and does not say what model they are of", where=place,
                         hint=WEIGHTS)  # fmt: skip
    raise ModelError("a PyTorch file brings code along, and is not opened", where=place,
                     hint=f"{TENSORS}; {WEIGHTS}")  # fmt: skip


def load_weights(estimator: Any, path: str | os.PathLike[str], *, where: str) -> Any:
    """A module, alone or in an estimator, with the parameters of a safetensors file; ModelError for any other file."""
    file, place, kind = _told(path, where)
    if kind != "safetensors":
        raise ModelError("the file of weights is no safetensors file", where=place, hint=TENSORS)
    from rain_debug.models.torch.weights import with_weights

    return with_weights(estimator, file, place)


def _told(path: str | os.PathLike[str], where: str) -> tuple[Path, str, str]:
    """A file, its place in messages, and what kind of file it is."""
    file = Path(path)
    place = f"{where}, file {file}"
    if file.exists() and not file.is_file():  # a pipe would be waited for without end
        raise ModelError("this is no plain file, and cannot be read", where=place, hint="name a file that you may read")
    try:
        return file, place, _kind(file)
    except FileNotFoundError:
        raise ModelError("there is no such model file", where=place, hint="check the path") from None
    except OSError as error:
        raise ModelError(f"the model file cannot be read: {error.strerror}", where=place,
                         hint="name a file that you may read") from None  # fmt: skip


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
        return "torch" if any(n.endswith("data.pkl") for n in names) else "skops"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 27:
        return "safetensors"
    # protobuf's first field is the version of the format, a small number; no pickle starts so
    return "onnx" if len(head) > 1 and head[0] == 8 and 0 < head[1] < 64 else "pickle"


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
