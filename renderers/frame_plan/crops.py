"""What is looked at of a picture that a frame is drawn towards: crops that come to the whole of it.

One crop in the middle loses the sides of a wide picture, and what a picture shows at a smaller scale counts for little
in it. So several crops are looked at, always the same, and their embeddings count as one, their mean.
"""

from __future__ import annotations

from manifests.schema import ImagePrompt

__all__ = ["CROPS", "Box", "crop_boxes", "crops_of"]

# Crops of a picture that is no aligned one. Before algorithm 6 it was the one in the middle.
CROPS = 16
# Side of the smaller ones, as a share of the picture's shorter side.
SMALLER = 0.75

Box = tuple[float, float, float, float]


def crops_of(prompt: ImagePrompt, crops: int) -> int:
    """How many crops of an image prompt are looked at, where those of others are `crops`."""
    return 1 if prompt.aligned else crops


def crop_boxes(width: int, height: int, crops: int) -> tuple[Box, ...]:
    """Squares of a picture of `width` x `height` pixels, as left, top, right, bottom.

    One is the largest in the middle. Of several, half are as large as the shorter side, evenly spaced along the longer
    one; the others are smaller, evenly spaced too, by turns along the one border and along the other.
    """
    short, long = min(width, height), max(width, height)
    if crops == 1:
        places = [((long - short) / 2, 0.0, float(short))]
    else:
        whole, smaller = crops // 2, SMALLER * short
        places = [(share * (long - short), 0.0, float(short)) for share in _even(whole)]
        places += [
            (share * (long - smaller), (number % 2) * (short - smaller), smaller)
            for number, share in enumerate(_even(crops - whole))
        ]
    boxes = ((along, across, along + side, across + side) for along, across, side in places)
    return tuple(boxes if width >= height else ((top, left, bottom, right) for left, top, right, bottom in boxes))


def _even(number: int) -> list[float]:
    """`number` shares from 0 to 1, both included."""
    return [it / (number - 1) for it in range(number)] if number > 1 else [0.5]
