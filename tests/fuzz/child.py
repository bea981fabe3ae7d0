"""One target under libFuzzer (atheris), in a process of its own: `python -m tests.fuzz.child NAME [OPTION...] CORPUS`.

Inputs are chosen by the code that they reach. An input that takes longer than SECONDS, or memory beyond MEMORY above
what the process has to begin with, ends the process; so does any finding. libFuzzer leaves the input in a file.
"""

from __future__ import annotations

import contextlib
import resource
import sys
import warnings

import atheris

SECONDS = 5
MEMORY = 500  # MB


def main() -> None:
    """Fuzz until an option of libFuzzer's ends it."""
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["manifests", "flows", "infra", "renderers"]):
        from tests.fuzz.targets import TARGETS
    warnings.simplefilter("ignore")
    one = TARGETS[name].one_input()
    with contextlib.suppress(Exception):  # the first call pays for what is loaded late
        one(bytes(64))
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    atheris.Setup([sys.argv[0], f"-timeout={SECONDS}", f"-rss_limit_mb={base + MEMORY}", *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
