"""What `nightreel up` was asked for, as its command line hands it to its runner."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["NAMES", "NightlyOptions", "UpOptions"]

# The deployments' names, for whoever has not imported the flows and thereby Prefect.
NAMES = ("render-manifest", "rerun-frames", "nightly")


@dataclass(frozen=True)
class NightlyOptions:
    """When `nightly` runs and on what; patterns, in which {date} stands for the night's date."""

    manifest: str = "manifests/{date}.parquet"
    output: str = "nights/{date}"
    cron: str = "0 1 * * *"
    time_zone: str = "UTC"

    def parameters(self) -> dict[str, str]:
        """What the flow is given; the time zone counts twice, for the schedule and for what {date} is."""
        return {"manifest": self.manifest, "output": self.output, "time_zone": self.time_zone}


@dataclass(frozen=True)
class UpOptions:
    """`limit`: flow runs at once, None for no limit; `nightly`: None leaves its schedule as the server has it."""

    port: int = 4200
    limit: int | None = None
    nightly: NightlyOptions | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> UpOptions:
        assert set(told) == {field.name for field in fields(cls)}, told
        night = told["nightly"]
        return cls(told["port"], told["limit"], NightlyOptions(**night) if night else None)
