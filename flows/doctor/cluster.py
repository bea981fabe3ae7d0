"""The doctor's look at the Ray cluster that NIGHTREEL_RAY_ADDRESS names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from flows.doctor.findings import Finding
from flows.doctor.nodes import judge_nodes
from infra.settings import InfraSettings
from manifests.schema.texts import plural

__all__ = ["check_cluster"]


def check_cluster(settings: InfraSettings, output: str | None = None) -> Iterator[Finding]:
    """Look at the cluster, whose address must be set, and at each of its nodes, which are to use `output` if one is
    named."""
    from infra.ray.doctor import RayUnavailable, look_at_cluster  # Ray takes seconds to import

    address = settings.ray_address
    try:
        look = look_at_cluster(settings, output)
    except RayUnavailable as error:
        yield Finding("cluster", "problem", str(error), "start the cluster, or correct NIGHTREEL_RAY_ADDRESS")
        return
    nodes = plural(look.nodes, "node")
    yield Finding("cluster", "ok", f"Ray answers at '{address}', with {nodes}")
    if not look.asks:
        yield Finding(
            "cluster", "warning", f"Ray at '{address}' asks nobody for a token: whoever reaches it runs code there",
            "set RAY_AUTH_MODE=token and a RAY_AUTH_TOKEN_PATH where the cluster is started, and here",
        )  # fmt: skip
    wanted = settings.actors or 1
    if look.grows:
        yield Finding("cluster", "ok", f"room for {look.room} actors now, and an autoscaler that may add nodes")
    elif look.room < wanted:
        yield Finding(
            "cluster", "problem", f"there is room for {look.room} of {wanted} actors on all of the cluster",
            "set NIGHTREEL_ACTORS, NIGHTREEL_CPUS_PER_ACTOR or NIGHTREEL_GPUS_PER_ACTOR lower, or add nodes",
        )  # fmt: skip
    else:
        yield Finding("cluster", "ok", f"room for {look.room} actors, for {look.free} of them now")
    if look.orphans:
        yield Finding(
            "cluster", "problem", f"actors that outlived their jobs: {', '.join(look.orphans)}",
            "they hold CPUs and GPUs that nobody uses", repair=partial(_remove, settings),
        )  # fmt: skip
    else:
        yield Finding("cluster", "ok", "no actor outlived its job")
    if look.here is not None:
        yield from judge_nodes(look.here, look.each, output)


def _remove(settings: InfraSettings) -> str:
    from infra.ray.doctor import remove_orphans

    return f"ended {', '.join(remove_orphans(settings)) or 'none: they were gone already'}"
