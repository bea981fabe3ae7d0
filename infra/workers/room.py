"""What nodes have room for: actors are placed as Ray does it, whole on one node, a share of a GPU on one card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Room", "Size", "described", "room_for_actors"]

#: CPUs and GPUs of one actor.
Size = tuple[float, float]


def described(size: Size) -> str:
    """Say what an actor needs."""
    cpus, gpus = size
    return f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")


class Room:
    """What is left of the nodes."""

    def __init__(self, nodes: Sequence[Mapping[str, float]]) -> None:
        self._cpus = [node.get("CPU", 0.0) for node in nodes]
        self._cards = [[1.0] * int(node.get("GPU", 0.0)) for node in nodes]
        self._full: dict[Size, int] = {}

    def copy(self) -> Room:
        """Return the same, from which can be taken without taking from this one."""
        other = Room(())
        other._cpus, other._cards = list(self._cpus), [list(cards) for cards in self._cards]
        other._full = dict(self._full)
        return other

    def take(self, cpus: float, gpus: float) -> bool:
        """Place one actor, if it fits."""
        first = self._full.get((cpus, gpus), 0)  # a node that refused once will refuse again
        for node in range(first, len(self._cpus)):
            if self._take_on(node, cpus, gpus):
                return True
            self._full[cpus, gpus] = node + 1
        return False

    def _take_on(self, node: int, cpus: float, gpus: float) -> bool:
        cards = self._cards[node]
        if self._cpus[node] < cpus - 1e-6:  # sums of fractions are not exact
            return False
        if gpus < 1:
            fitting = [card for card in range(len(cards)) if cards[card] >= gpus - 1e-6] if gpus else []
            taken = [min(fitting, key=lambda card: cards[card])] if fitting else []
            if gpus and not taken:
                return False
            each = gpus
        else:
            taken = [card for card in range(len(cards)) if cards[card] >= 1 - 1e-6][: int(gpus)]
            if len(taken) < gpus:
                return False
            each = 1.0
        self._cpus[node] -= cpus
        for card in taken:
            cards[card] -= each
        return True


def room_for_actors(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """Count the actors of `cpus` and `gpus` that fit on nodes of these resources, together.

    Node by node, and shares of a GPU card by card, as Ray places them: one actor counted too many would wait for ever.
    """

    def times(have: float, need: float) -> int:
        return int(have / need + 1e-6)  # 7 / 0.07 is 99.99...

    def on(node: Mapping[str, float]) -> int:
        room = times(node.get("CPU", 0.0), cpus)
        if gpus:
            have = node.get("GPU", 0.0)
            room = min(room, int(have) * times(1, gpus) if gpus < 1 else times(have, gpus))
        return room

    return sum(on(node) for node in nodes)
