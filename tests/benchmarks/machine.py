"""What a benchmark must say about where it ran."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["machine"]


def machine() -> str:
    """One line: processor, cores, load, and the versions that matter, as far as they are installed."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    name = found[1] if found else platform.machine()
    packages = " ".join(filter(None, map(_version, ("torch", "triton", "ray", "prefect", "nightreel"))))
    load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    return f"{name}, {load}, Python {platform.python_version()}, {packages}"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # a machine that only renders has neither Ray nor Prefect
        return ""
