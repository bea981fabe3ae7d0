"""`nightreel doctor`: findings about this installation, a storage, a Prefect server and a Ray cluster; and repairs.

A check looks and returns findings; it changes nothing. A finding that can be repaired carries how; only `repair_all`
calls it. Checks are in flows/doctor, a module or two for each of the four areas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from manifests.errors import ExitCode

__all__ = ["Area", "Finding", "examine", "exit_code", "not_looked_at", "repair_all"]

Level = Literal["ok", "warning", "problem"]
Area = Literal["installation", "storage", "server", "cluster"]


@dataclass(frozen=True)
class Finding:
    """`what` is the case, in a sentence that names where; `remedy` is what a person can do about it.

    A `warning` hinders nothing today. A `problem` either comes with `repair`, which does it and says what it did, or
    makes something unusable until a person has followed the remedy. `repaired` is what was done, `repair_error` why it
    failed.
    """

    area: Area
    level: Level
    what: str
    remedy: str = ""
    repair: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    repaired: str = ""
    repair_error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "area": self.area, "level": self.level, "what": self.what, "remedy": self.remedy,
            "can_be_repaired": self.repair is not None, "repaired": self.repaired, "repair_error": self.repair_error,
        }  # fmt: skip


def examine(area: Area, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of one check; one that breaks is a finding itself, and the next one goes on."""
    try:
        yield from check()
    except Exception as error:
        message = " ".join(str(error).split()) or "no message"
        yield Finding(area, "problem", f"could not be looked at: {type(error).__name__}: {message}", "run with --debug")


def not_looked_at(area: Area, what: str, error: object, remedy: str) -> Finding:
    """The finding that `what` could not be looked at, and so may be anything; `error` is why."""
    reason = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
    return Finding(area, "warning", f"{what} could not be looked at: {reason or type(error).__name__}", remedy)


def repair_all(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Repair what can be repaired; each finding comes back with what was done."""
    for finding in findings:
        if finding.repair is None or finding.level == "ok":
            yield finding
            continue
        try:
            yield replace(finding, repaired=finding.repair())
        except Exception as error:
            yield replace(finding, repair_error=" ".join(str(error).split()) or type(error).__name__)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 if there is no problem, 1 if all problems were repaired or can be, 3 if one is left to a person."""
    problems = [finding for finding in findings if finding.level == "problem"]
    if not problems:
        return ExitCode.DONE
    repairable = all(problem.repair is not None and not problem.repair_error for problem in problems)
    return ExitCode.INCOMPLETE if repairable else ExitCode.ENVIRONMENT
