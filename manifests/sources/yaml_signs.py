"""Characters that YAML does not allow at all, so that one of them would cost the whole file: control characters, bytes
that are no UTF-8, halves of characters as JSON writes them (`\\ud83d`).

They are spelled out before YAML sees them, and put back where a value is made: each costs its own row.
"""

from __future__ import annotations

import re

import yaml

__all__ = ["Signs"]

# what YAML 1.1 does not take for printable, or the C parser for a character
_NOT_ALLOWED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_HALF = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abABc-fC-F][0-9a-fA-F]{2})")
_PRIVATE = range(0xE000, 0xF900)


class Signs:
    """A `text` that YAML can read, and the way back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._spelled: re.Pattern[str] | None = None
        if not _NOT_ALLOWED.search(text) and not _HALF.search(text):
            return
        mark = next((chr(code) for code in _PRIVATE if chr(code) not in text), None)
        if mark is None:
            return  # who uses them all has YAML's own message
        self._spelled = re.compile(f"{mark}([er])([0-9a-fA-F]{{4}})")
        self.text = _NOT_ALLOWED.sub(lambda found: f"{mark}r{ord(found[0]):04x}", text)
        # a pair of them stands right behind each other: the second is looked for where the first ended
        self.text = _HALF.sub(lambda found: f"{found[1]}{mark}e{found[2]}", self.text)

    def restored(self, value: str, node: yaml.ScalarNode) -> str:
        """`value` with what was spelled out. Raises ConstructorError for a control character."""
        if self._spelled is None or not self._spelled.search(value):
            return value

        def sign(found: re.Match[str]) -> str:
            code = int(found[2], 16)
            if found[1] == "e":
                return chr(code) if node.style == '"' else f"\\u{found[2]}"
            if not 0xD800 <= code < 0xE000:
                problem = f"it holds the control character U+{code:04X}"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return chr(code)

        return _joined(self._spelled.sub(sign, value))

    def shown(self, value: str) -> str:
        """`value` for a message."""
        return self._spelled.sub("\ufffd", value) if self._spelled is not None else value


def _joined(text: str) -> str:
    """Put halves that belong together into one character; the others stay."""
    return (
        text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") if _PAIR.search(text) else text
    )


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
