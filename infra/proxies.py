"""Which proxies of an environment can be asked, and how NO_PROXY is written so that every library can read it.

httpx, on which Prefect's client is built, makes a connection for each proxy of the environment when a client is made,
and raises an error of its own where one is of a kind that it does not know, or NO_PROXY holds what it can't parse: also
for a server of this machine, for which no proxy is asked at all.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

__all__ = ["SET_ASIDE", "VARIABLES", "askable", "exempting", "set_aside", "unaskable"]

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
#: The variable that keeps, for this process and those it starts, the proxies that no library is told of.
SET_ASIDE = "NIGHTREEL_PROXIES_SET_ASIDE"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def askable(address: str) -> httpx.URL | None:
    """Return the address of a proxy as it is asked; None if it is none, or of a kind that is not asked (SOCKS)."""
    parsed = _parsed(address if "://" in address else f"http://{address}")
    usable = parsed is not None and parsed.scheme in ("http", "https") and parsed.host
    return parsed if usable and parsed is not None and (parsed.port or 1) < 1 << 16 else None


def unaskable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that name a proxy which can't be asked."""
    return {name: given for name in VARIABLES if (given := environment.get(name)) and askable(given) is None}


def set_aside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the proxies that were set aside, by what they are for: "http", "https", or "all"."""
    kept = json.loads(environment.get(SET_ASIDE) or "{}")
    return {name.lower().removesuffix("_proxy"): given for name, given in kept.items()}


def exempting(no_proxy: str) -> str:
    """Return a NO_PROXY that exempts this machine and all that `no_proxy` does, in words that httpx parses as well."""
    there = list(filter(None, map(_plain, no_proxy.split(","))))
    return ",".join([*there, *(name for name in _LOOPBACK if name not in there and "*" not in there)])


def _plain(entry: str) -> str:
    """An entry of NO_PROXY as others write it: an address of IPv6 without brackets, a name in ASCII; '' for one that
    exempts nothing anyway, such as a network of IPv6, which neither httpx nor Python can compare."""
    entry = entry.strip().removeprefix("[").removesuffix("]")
    if _is_ipv6(entry):
        return entry if _parsed(f"all://[{entry}]") is not None else ""
    try:
        entry = entry if entry.isascii() else entry.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return entry if _parsed(entry if "://" in entry else f"all://*{entry}") is not None else ""


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _parsed(url: str) -> httpx.URL | None:
    import httpx  # takes its time, and most environments name no proxy

    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return None
