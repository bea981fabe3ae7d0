"""Command lines as argparse reads them, taken apart by `shlex`: of VQGAN-CLIP's generate.py, EleutherAI's main.py, and
VQGAN-CLIP's zoom.sh. Nothing is run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from manifests.importing.documents import LONGEST_CODE
from manifests.results import ManifestError
from manifests.schema.texts import plural, short

__all__ = ["LONG", "TYPED", "Command", "commands_of", "looks_like_command"]

#: What a command line is called that was typed, and lies in no file.
TYPED = "command line"

#: Flags in short and in long, and how many values each takes: 0 none, 9 any number.
_FLAGS = {
    "-p": ("--prompts", 1), "-ip": ("--image_prompts", 1), "-i": ("--iterations", 1), "-se": ("--save_every", 1),
    "-s": ("--size", 2), "-ii": ("--init_image", 1), "-in": ("--init_noise", 1), "-iw": ("--init_weight", 1),
    "-m": ("--clip_model", 1), "-conf": ("--vqgan_config", 1), "-ckpt": ("--vqgan_checkpoint", 1),
    "-nps": ("--noise_prompt_seeds", 9), "-npw": ("--noise_prompt_weights", 9), "-lr": ("--learning_rate", 1),
    "-cutm": ("--cut_method", 1), "-cuts": ("--num_cuts", 1), "-cutp": ("--cut_power", 1), "-sd": ("--seed", 1),
    "-opt": ("--optimiser", 1), "-o": ("--output", 1), "-vid": ("--video", 0), "-zvid": ("--zoom_video", 0),
    "-zs": ("--zoom_start", 1), "-zse": ("--zoom_save_every", 1), "-zsc": ("--zoom_scale", 1),
    "-zsx": ("--zoom_shift_x", 1), "-zsy": ("--zoom_shift_y", 1), "-cpe": ("--change_prompt_every", 1),
    "-vl": ("--video_length", 1), "-ofps": ("--output_video_fps", 1), "-ifps": ("--input_video_fps", 1),
    "-d": ("--deterministic", 0), "-aug": ("--augments", 9), "-vsd": ("--video_style_dir", 1),
    "-cd": ("--cuda_device", 1),
}  # fmt: skip
LONG = {short: long for short, (long, _) in _FLAGS.items()}
_SHORT = {long: short for short, long in LONG.items()}
_MOST_COMMANDS = 1000
_PROGRAM = re.compile(r"(?:^|[\s/\\])(generate\.py|main\.py|zoom\.sh)(?=\s|$)")
_STYLER = re.compile(r"(?:^|[\s/\\])video_styler\.sh(?=\s|$)")
_NEGATIVE_NUMBER = re.compile(r"-\d+$|-\d*\.\d+$")


@dataclass
class Command:
    """One command: what stands behind each flag, by its short name, and in which `line` of the source."""

    program: str
    line: int
    flags: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def looks_like_command(text: str) -> bool:
    """Whether a text calls one of the programs."""
    return _PROGRAM.search(text[:LONGEST_CODE]) is not None or _STYLER.search(text[:LONGEST_CODE]) is not None


def commands_of(text: str, name: str) -> list[Command]:
    """The commands of a line, or of a script; other lines of it are passed over.

    Raises:
        ManifestError: there is none, or one can't be taken apart; the message names the line.
    """
    if len(text) > LONGEST_CODE:
        raise ManifestError(
            f"{name}: it has {len(text):,} characters, and at most {LONGEST_CODE:,} are read of commands"
        )
    found: list[Command] = []
    for number, line in _lines(text):
        if line.lstrip().startswith("#"):
            continue
        if _STYLER.search(line) is not None:
            raise ManifestError(
                f"{name} line {number}: video_styler.sh restyles a video in a loop of the shell: import its call of "
                "generate.py, and give the row source.video and source.mode each"
            )
        if (program := _PROGRAM.search(line)) is None:
            continue
        if len(found) == _MOST_COMMANDS:
            raise ManifestError(f"{name} line {number}: it has more than {plural(_MOST_COMMANDS, 'command')}; split it")
        try:
            words = shlex.split(line[program.end() :], comments=True)
        except ValueError as error:
            raise ManifestError(f"{name} line {number}: no command line ({error}): {short(line.strip())}") from error
        command = Command(program[1], number)
        if program[1] == "zoom.sh":
            command.words = words
        else:
            _read(command, words)
        found.append(command)
    if not found:
        raise ManifestError(f"{name}: no line of it calls generate.py, main.py or zoom.sh")
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, those joined that end with a backslash."""
    start, kept = 0, ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not kept:
            start = number
        line = line.rstrip("\r")
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        yield start, kept + line
        kept = ""
    if kept:
        yield start, kept


def _read(command: Command, words: list[str]) -> None:
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        flag, value = _flag(word)
        if flag is None:
            command.unknown.append(word)
            continue
        values = [] if value is None else [value]
        takes = _FLAGS[flag][1] - len(values)
        while takes > 0 and position < len(words) and not _is_flag(words[position]):
            values.append(words[position])
            position += 1
            takes -= 1
        command.flags[flag] = values


def _is_flag(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and " " not in word and _NEGATIVE_NUMBER.match(word) is None


def _flag(word: str) -> tuple[str | None, str | None]:
    """The short name of the flag that a word is, and the value that is joined to it."""
    if not _is_flag(word):
        name, joined, value = word.partition("=")
        if not (joined and word.startswith("-")):
            return None, None
    name, joined, value = word.partition("=")
    after = value if joined else None
    if name in _FLAGS:
        return name, after
    if name in _SHORT:
        return _SHORT[name], after
    if name.startswith("--"):
        near = [it for it in _SHORT if it.startswith(name)]
        return (_SHORT[near[0]], after) if len(near) == 1 and len(name) > 3 else (None, None)
    # a value that is joined to a letter: -i500
    return (name[:2], word[2:]) if name[:2] in ("-i", "-s", "-o") and word[2:3].isdigit() else (None, None)
