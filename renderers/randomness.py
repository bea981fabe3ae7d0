"""Addressed randomness: every draw is a function of (job seed, frame, step, purpose), never of the worker or the order.

That is what makes a frame come out the same whichever actor renders it, after a crash, and in any order.
"""

from __future__ import annotations

import hashlib

import torch

__all__ = ["address", "generator"]


def address(seed: int, frame: int, step: int, purpose: str) -> int:
    """A 63-bit seed for one draw.

    Hashing (rather than adding) keeps neighbouring frames and steps from sharing streams.
    """
    text = f"{seed}/{frame}/{step}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, frame: int, step: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one draw, on `device`."""
    return torch.Generator(device=device).manual_seed(address(seed, frame, step, purpose))
