"""The Ray cluster that `nightreel up` starts, as other commands of the same user on the same machine find it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from infra.private_files import read_own, write_private

__all__ = ["CLUSTER", "PRIVATE", "SYSTEM_CONFIG", "TOKEN", "joining", "own_cluster"]

#: Files in the folder of `nightreel up`: the cluster's token, and how it is joined.
TOKEN, CLUSTER = "ray-token", "ray.json"
#: What makes a Ray that is started here private, in the environment of all its processes.
PRIVATE = {
    # Ray's name for "this machine has the address 127.0.0.1": all its servers then listen on loopback only
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # no port: that server asks nobody for the token (Ray's own way to say this would be none; its log has an error)
    "DASHBOARD_METRIC_PORT": "-1",
}
# What a cluster is joined by; nothing else is taken from a file.
_JOINING = {*PRIVATE, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"}
#: As Ray's own option: another server of numbers that asks for no token, and that nobody here asks.
SYSTEM_CONFIG = {"enable_metrics_collection": False}


def own_cluster(folder: Path, address: str, auth_mode: str, *, own_token: bool) -> dict[str, str]:
    """Return the variables of the cluster that `up` starts at `address`, and leave them in its `folder` for others.

    Ray looks for a cluster on loopback at another address without the first of them, and none of its servers tells or
    does anything without the token. `own_token`: nobody has given Ray one.
    """
    variables = {**PRIVATE, "RAY_AUTH_MODE": auth_mode}
    if auth_mode == "token" and own_token:
        # not Ray's own file, which it makes readable for everybody on the machine
        token = folder / TOKEN
        write_private(token, secrets.token_hex(32))
        variables["RAY_AUTH_TOKEN_PATH"] = str(token)
    write_private(folder / CLUSTER, json.dumps({"address": address, "variables": variables}))
    return variables


def joining(folder: Path, address: str | None) -> dict[str, str]:
    """Return the variables with which the cluster at `address` is joined, if it is the one of this `folder`."""
    try:
        known = json.loads(read_own(folder / CLUSTER) or "{}")
        theirs, variables = known.get("address"), dict(known.get("variables") or {})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    if not address or address.replace("localhost", "127.0.0.1") != theirs:
        return {}
    return {name: value for name, value in variables.items() if name in _JOINING and isinstance(value, str)}
