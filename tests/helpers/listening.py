"""The sockets that processes listen on, as /proc has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["LOOPBACK", "listening", "ports"]

#: 127.0.0.1, the same as IPv6 writes it, and ::1.
LOOPBACK = frozenset({"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"})


def listening(processes: Iterable[int]) -> dict[str, int]:
    """How many sockets these processes listen on, by address as /proc has it."""
    return dict(Counter(address for address, _ in _sockets(processes)))


def ports(processes: Iterable[int]) -> set[int]:
    """The ports of these sockets."""
    return {port for _, port in _sockets(processes)}


def _sockets(processes: Iterable[int]) -> Iterator[tuple[str, int]]:
    addresses = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                address, _, port = fields[1].rpartition(":")
                addresses[f"socket:[{fields[9]}]"] = address, int(port, 16)
    for pid in processes:
        with suppress(OSError):
            for held in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError, KeyError):
                    yield addresses[str(held.readlink())]
