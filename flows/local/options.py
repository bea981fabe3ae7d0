"""What `nightreel up` was asked for, as its command line hands it to its runner."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from flows.orchestration.deployments import NightlyOptions

__all__ = ["UpOptions"]


@dataclass(frozen=True)
class UpOptions:
    """`limit`: flow runs at once, None for no limit; `nightly`: None leaves its schedule as the server has it."""

    port: int = 4200
    limit: int | None = None
    nightly: NightlyOptions | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> UpOptions:
        assert set(options) == {field.name for field in fields(cls)}, options
        night = options["nightly"]
        return cls(options["port"], options["limit"], NightlyOptions(**night) if night else None)
