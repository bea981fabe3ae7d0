"""Chance that is the same on every machine and for ever: a stream of numbers that its address decides."""

from __future__ import annotations

from hashlib import blake2b

__all__ = ["Chance"]


class Chance:
    """Random numbers, one after the other; equal addresses give equal ones."""

    def __init__(self, *address: int | str) -> None:
        self._key = blake2b(repr(address).encode("utf-8", "replace"), digest_size=32).digest()
        self._count = 0

    def unit(self) -> float:
        """A number from 0 to below 1."""
        return self._bits(53) / (1 << 53)

    def below(self, limit: int) -> int:
        """A whole number from 0 to below `limit`, each as likely as any other."""
        bits = limit.bit_length()
        while (number := self._bits(bits)) >= limit:  # half of them at the most
            pass
        return number

    def _bits(self, bits: int) -> int:
        found, have = 0, 0
        while have < bits:
            self._count += 1
            digest = blake2b(self._count.to_bytes(8, "little"), key=self._key, digest_size=32).digest()
            found, have = found << 256 | int.from_bytes(digest, "little"), have + 256
        return found >> have - bits
