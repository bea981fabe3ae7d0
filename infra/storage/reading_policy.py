"""What may be read of all that a manifest can name, and how much of it. Decisions only: nothing here reads or asks.

A manifest's author is not always the operator. On the command line, where both are one person, a row may name any
regular file; in a run that a server started (`roots` are given), only what lies below these roots. Addresses of the web
must be public, on either, unless the operator names them; see `web_sources` for how that is enforced.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from infra.storage.errors import SourceRefused

__all__ = [
    "ReadingPolicy",
    "check_address",
    "check_below",
    "check_redirect",
    "check_scheme",
    "is_public",
]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The settings that the refusals name.
ROOTS, PRIVATE_HOSTS, MEGABYTES = "NIGHTREEL_READ_ROOTS", "NIGHTREEL_READ_PRIVATE_HOSTS", "NIGHTREEL_READ_MEGABYTES"
FILM_MEGABYTES = "NIGHTREEL_READ_FILM_MEGABYTES"

#: What an address may begin with. No setting adds any: fsspec's others chain, unpack, call programs, or run code.
SCHEMES = {
    "file": "file", "local": "file", "memory": "memory", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs",
    "http": "web", "https": "web",
}  # fmt: skip
_SCHEME = re.compile(r"([^/\\?#]*?)(?=:[:]|://)|(data)(?=:)", re.IGNORECASE)
MOST_REDIRECTS = 5


@dataclass(frozen=True)
class ReadingPolicy:
    """What a source (a picture that a row names, a text that a manifest is made of) may be, and what it may cost.

    Attributes:
        roots: folders and prefixes of buckets below which files must lie; None: any regular file may be read.
        private_hosts: names, addresses and networks (`10.0.0.0/8`) that are read from although they are private.
        most_bytes: of one source, unpacked.
        film_bytes: of a film, which is much larger than a picture.
        seconds: for one source of the web, all attempts and redirects together.
        idle_seconds: of these, without a byte.
        setting: what says `most_bytes`.
    """

    roots: tuple[str, ...] | None = None
    private_hosts: tuple[str, ...] = ()
    most_bytes: int = 64_000_000
    film_bytes: int = 10_000_000_000
    seconds: float = 30.0
    idle_seconds: float = 10.0
    setting: str = MEGABYTES

    def check_size(self, size: int, place: str) -> None:
        """Raise SourceRefused for more bytes than are read."""
        if size > self.most_bytes:
            raise SourceRefused(
                f"'{place}' has more than {self.most_bytes / 1e6:,.6g} MB, the most that is read",
                f"make it smaller, or raise {self.setting}",
            )


# ---- addresses as they are written


def check_scheme(uri: str, place: str) -> str:
    """Return the kind of place that `uri` names: "file", "memory", "s3", "gs" or "web"; `place` is for messages.

    Raises:
        SourceRefused: it is of no kind that is read.
    """
    if "\0" in uri:
        raise SourceRefused(f"'{place}' holds a NUL character", "take it out")
    found = _SCHEME.match(uri)
    if found is None:
        return "file"
    scheme = found[0].lower() if found[0].lower() in ("http", "https") else found[0]
    if scheme not in SCHEMES or uri[found.end() :].startswith("::"):
        raise SourceRefused(
            f"'{place}' begins with '{scheme}:', which is not read",
            "give a path, or an address that begins with file://, s3://, gs://, http:// or https:// "
            "(no setting allows others)",
        )
    return SCHEMES[scheme]


def check_redirect(source: str, target: str, hops: int, place: str) -> None:
    """Raise SourceRefused unless a server at `source` may send the reader on to `target`, as the `hops`th time."""
    if hops > MOST_REDIRECTS:
        raise SourceRefused(f"'{place}' is redirected more than {MOST_REDIRECTS} times", "give the address it leads to")
    before, after = (address.partition(":")[0].lower() for address in (source, target))
    if after not in ("http", "https"):
        raise SourceRefused(f"'{place}' is redirected to an address of the kind '{after}:'", "give another address")
    if (before, after) == ("https", "http"):
        raise SourceRefused(
            f"'{place}' is redirected from https to http", "give the address it leads to, if you trust it"
        )


def check_below(path: str, roots: Iterable[str], place: str) -> None:
    """Raise SourceRefused unless `path` lies below one of `roots`.

    Both are resolved, as `source_files` does: a local path without links, or `s3://bucket/key`.
    """
    parts = _parts(path)
    if ".." in parts:
        raise SourceRefused(f"'{place}' has '..' in it", "write the address without")
    if not any(parts[: len(root)] == root for root in map(_parts, roots)):
        raise SourceRefused(
            f"'{place}' lies outside of what a run of the server may read: the manifest's folder and the output",
            f"put it there, or name its folder in {ROOTS} where the server's runner starts",
        )


def _parts(path: str) -> tuple[str, ...]:
    scheme, found, rest = path.partition("://")
    if not found:
        return PurePosixPath(path).parts
    return (SCHEMES.get(scheme, scheme), *(part for part in rest.split("/") if part))


# ---- addresses of the network


def check_address(host: str, address: str, policy: ReadingPolicy, place: str) -> None:
    """Raise SourceRefused unless `policy` allows what the name `host` stands for: the IP `address`."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if is_public(found) or _allowed(host, found, policy.private_hosts):
        return
    shown = f"'{host}' is {found}" if host != str(found) else str(found)
    raise SourceRefused(
        f"'{place}' is in a private network ({shown})",
        f"name the host or its network in {PRIVATE_HOSTS} if it may be read from",
    )


def is_public(address: Address) -> bool:
    """Whether anybody on the Internet may have this address. One that carries another, such as IPv4 in IPv6, is what
    that one is."""
    inner = _carried(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
        or any(address in network for network in _SPECIAL)
    )


# What counts as global and is not everybody's.
_SPECIAL = (
    ipaddress.ip_network("192.0.0.0/24"),  # of the IETF's protocols
    ipaddress.ip_network("168.63.129.16/32"),  # Azure's own server, which each machine there reaches and nobody else
    ipaddress.ip_network("3fff::/20"),  # for documentation, RFC 9637
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: IPv4 behind it, in the last 32 bits


def _carried(address: Address) -> Address | None:
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _allowed(host: str, address: Address, allowed: Iterable[str]) -> bool:
    inner = _carried(address) or address
    for entry in allowed:
        if entry.lower() == host.lower().strip("[]").rstrip("."):
            return True
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            continue  # a name
        if any(found.version == network.version and found in network for found in (address, inner)):
            return True
    return False
