"""`ray start` of small nodes for tests on a busy machine, run as `python -m tests.helpers.patient_start [options]`."""

from __future__ import annotations

import sys

from infra.ray.start import start

__all__: list[str] = []

if __name__ == "__main__":
    start(["--disable-usage-stats", "--object-store-memory=90000000", *sys.argv[1:]])
