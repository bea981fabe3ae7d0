"""Write what the corpus comes to: `python -m tests.unit.manifests.importing.golden`. Look at the difference before it
is committed."""

from __future__ import annotations

from pathlib import Path

from manifests.importing.importing import import_settings

if __name__ == "__main__":
    for path in (Path(__file__).parent / "corpus").iterdir():
        if path.suffix != ".golden":
            path.with_suffix(".golden").write_text(import_settings(path.read_text(), path.name).yaml)
