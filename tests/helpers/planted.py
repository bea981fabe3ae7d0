"""Searching whatever a run has left behind for values that were planted."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
from PIL import Image

__all__ = ["found_in_bytes", "found_in_folder"]


def found_in_folder(folder: Path, planted: Iterable[str]) -> list[str]:
    """The places below `folder` where a planted value lies: in names, and in files with all that is packed in them."""
    planted = list(planted)
    found = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        data = path.read_bytes() if path.is_file() else b""
        found += [f"{name}: {value}" for value in found_in_bytes(name.encode() + b"\n" + data, planted)]
        found += [f"{name}, unpacked: {it}" for text in _unpacked(path) for it in found_in_bytes(text, planted)]
    return found


def found_in_bytes(data: bytes, planted: Iterable[str]) -> list[str]:
    """Which of the planted values are there, as they are, percent-encoded or as JSON writes them."""
    return [
        value
        for value in planted
        if any(form.encode() in data for form in (value, quote(value, safe=""), json.dumps(value)[1:-1]))
    ]


def _unpacked(path: Path) -> Iterator[bytes]:
    if path.suffix == ".png":
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            image.load()
            yield repr(image.info).encode()
    elif path.suffix == ".parquet":
        yield json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
    elif path.suffix in (".gz", ".zz"):
        yield zlib.decompress(path.read_bytes())
