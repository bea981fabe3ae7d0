"""`python -m tests.chaos --faults 500 --seed 1 [--record FILE.md] [--json]`: a whole chaos run; exit code 1 if any
invariant is broken. See tests/chaos/runner.py."""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

from infra.environment import ray_environment
from tests.chaos.record import markdown
from tests.chaos.runner import run_chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=500, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="which ones, and when")
    parser.add_argument("--minutes", type=float, default=math.inf, help="none strikes later: for a short evening")
    parser.add_argument("--record", type=Path, help="Markdown file for the result")
    parser.add_argument("--json", action="store_true", help="the result on stdout, as JSON")
    chosen = parser.parse_args()
    ray_environment()
    with tempfile.TemporaryDirectory(prefix="nr-chaos-") as folder:
        result = run_chaos(
            chosen.seed, chosen.faults, Path(folder), lambda line: print(line, file=sys.stderr, flush=True),
            seconds=60 * chosen.minutes,
        )  # fmt: skip
    if chosen.json:
        print(json.dumps(vars(result)))
    text = markdown(result)
    print(text, file=sys.stderr)
    if chosen.record:
        chosen.record.write_text(text, encoding="utf-8")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
