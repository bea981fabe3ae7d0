"""Colours as people write them: '#102030 #ffcc00', or by the names of CSS."""

from __future__ import annotations

from manifests.schema.texts import did_you_mean, short

__all__ = ["MOST_COLOURS", "check_palette", "colours_in"]

MOST_COLOURS = 64
Colour = tuple[int, int, int]


def colours_in(text: str) -> tuple[Colour, ...]:
    """The colours of a palette, red, green and blue of 0 to 255 each; commas between them are as good as spaces.

    Raises:
        ValueError: a word is no colour, or there are too many.
    """
    words = text.replace(",", " ").split()
    if len(words) > MOST_COLOURS:
        raise ValueError(f"{len(words)} colours, but a palette has up to {MOST_COLOURS}")
    return tuple(_colour(word) for word in words)


def _colour(word: str) -> Colour:
    from PIL import ImageColor  # brings all of Pillow, which hardly a row needs

    name = word.lower()
    written = name.startswith("#") and len(name) in (4, 7)
    if written or name in ImageColor.colormap:
        try:
            red, green, blue = ImageColor.getrgb(name)[:3]
        except ValueError:
            pass
        else:
            return red, green, blue
    hint = did_you_mean(name, ImageColor.colormap)
    raise ValueError(
        f"'{short(word)}' is no colour: write it as '#rrggbb', or by a name that CSS knows, such as 'navy'"
        + (f"; {hint}" if hint else "")
    )


def check_palette(text: str) -> str:
    """Give `text` back. Raises ValueError as `colours_in`."""
    colours_in(text)
    return text
