"""A Ray of this process's own that is this process's alone: its servers listen on loopback, ask for a token that nobody
else has, and keep their sockets and logs where no other account may look.

Ray by itself listens at every address of the machine, keeps its token in a file that everybody may read (where the
umask is 022, as it mostly is), and makes its folders writable for all.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from infra.environment import given_ray_token, own_ray_folder, ray_environment, variables_set
from infra.own_cluster import PRIVATE

ray_environment()  # before the import: Ray reads them while it is imported

from ray._private import ray_constants  # noqa: E402
from ray._private.node import Node  # noqa: E402
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]  # noqa: E402

__all__ = ["forget_token", "private_start"]

# One for the whole process: Ray's own code keeps what it has read.
_TOKEN = secrets.token_hex(32)


@contextmanager
def private_start() -> Iterator[str | None]:
    """Have a Ray that is started meanwhile be private; gives the folder for what it keeps, None for Ray's usual one.

    Its servers get the environment of the moment; what comes later needs none of it.
    """
    wanted = dict(PRIVATE)
    if not given_ray_token():
        # not in a file, nor on a command line: an environment is its process's owner's alone
        wanted["RAY_AUTH_TOKEN"] = _TOKEN
    folder = own_ray_folder()
    clusters, monitor = ray_constants.ENABLE_RAY_CLUSTER, Node.start_monitor
    ray_constants.ENABLE_RAY_CLUSTER = False  # as that of PRIVATE, which was read at import
    Node.start_monitor = _no_monitor  # type: ignore[method-assign]
    try:
        with variables_set(wanted):
            forget_token()
            yield None if folder is None else str(folder)
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        Node.start_monitor = monitor  # type: ignore[method-assign]


def _no_monitor(node: Node) -> None:
    """Of an autoscaler, which a Ray of one machine has no use for; it tells its numbers to whoever asks."""


def forget_token() -> None:
    """Have Ray look again for a token: it keeps the one of the cluster that this process had before."""
    AuthenticationTokenLoader.instance().reset_cache()
