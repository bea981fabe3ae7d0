"""Fuzz all targets in turns, or those that are named: `python -m tests.fuzz [--minutes 10] [TARGET ...]`.

Each has its share of the time, in a process of its own (child.py). What is found ends that process and is kept under
test-output/fuzz/TARGET/, as a file that `--again FILE TARGET` reads once more, and a log; the target goes on until its
time is over or it has shown MOST_FINDINGS. Ends with 1 if anything was found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.targets import TARGETS

FOLDER = Path("test-output/fuzz")
MOST_FINDINGS = 5
# Bytes of an input; larger ones are for tests of their own.
MOST_BYTES = 100_000


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--minutes", type=float, default=10, help="of all targets together (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; 0: another one each time")
    parser.add_argument("--again", type=Path, help="a file that was found: read it once, and show what happens")
    chosen = parser.parse_args()
    names = chosen.targets or list(TARGETS)
    if chosen.again is not None:
        TARGETS[names[0]].one_input()(chosen.again.read_bytes())
        return 0
    seconds = chosen.minutes * 60 / len(names)
    counts = {name: fuzz(name, seconds, chosen.seed) for name in names}
    runs, found = sum(it[0] for it in counts.values()), sum(it[1] for it in counts.values())
    print(f"{runs:,} inputs of {len(names)} targets, {found} findings" + (f": see {FOLDER}" if found else ""))
    return 1 if found else 0


def fuzz(name: str, seconds: float, seed: int) -> tuple[int, int]:
    """Fuzz one target for so long; return how many inputs it had, and how many were found to be wrong."""
    folder, corpus = FOLDER / name, FOLDER / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds() if TARGETS[name].seeds else ()):
        (corpus / f"seed-{number:03}").write_bytes(data)
    until, runs, findings = time.monotonic() + seconds, 0, 0
    while (left := until - time.monotonic()) > 1 and findings < MOST_FINDINGS:
        options = [
            f"-max_total_time={left:.0f}", f"-max_len={MOST_BYTES}", f"-artifact_prefix={folder}/",
            "-print_final_stats=1", f"-seed={seed}", str(corpus),
        ]  # fmt: skip
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.child", name, *options], capture_output=True, text=True, errors="replace"
        )
        done = re.search(r"number_of_executed_units:\s*(\d+)", ended.stderr)
        runs += int(done[1]) if done else 0
        if ended.returncode:
            findings += 1
            log = folder / f"finding-{findings}.txt"
            log.write_text(ended.stdout + ended.stderr, encoding="utf-8")
            print(f"{name}: {_what(ended.stdout + ended.stderr)} ({log})", flush=True)
    print(f"{name}: {runs:,} inputs, {findings} findings", flush=True)
    return runs, findings


def _what(output: str) -> str:
    lines = [line for line in output.splitlines() if re.match(r"\w*(Error|Exception|Finding|Interrupt)\b", line)]
    ended = re.search(r"ERROR: libFuzzer: .*", output)
    return (lines[0] if lines else ended[0] if ended else (output.splitlines() or [""])[-1])[:200]


if __name__ == "__main__":
    sys.exit(main())
