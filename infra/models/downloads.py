"""Fetching a file over HTTP: resumed where it broke off, checked by its SHA-256, and in its place only when whole.

On httpx, by hand. pooch checks sums but starts a broken download from the beginning (a gigabyte, here);
huggingface_hub resumes but fetches from its own hub alone, and the registry's files have mirrors elsewhere;
requests-based downloaders bring a second HTTP client into the house.

What arrives is written to `<name>.part`. Beside it `<name>.part.json` notes which version of which address it is part
of, so that `If-Range` has the server say whether it still is. The checksum decides in any case.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from infra.backoff import Backoff
from infra.environment import proxy_for
from infra.proxies import askable
from infra.storage.user_agent import user_agent
from manifests.errors import ErrorKind, NightreelError
from manifests.masking import address_without_secrets
from renderers.checksums import file_sha256

__all__ = ["DownloadFailed", "OnProgress", "download"]

# Connecting and silence; the whole may take hours.
TIMEOUT = httpx.Timeout(30.0, connect=15.0)
ATTEMPTS = 4  # of one mirror, while it keeps sending something
BUSY = (429, 500, 502, 503, 504)
SPARE = 256 * 2**20  # bytes that a download leaves free on the disk

OnProgress = Callable[[int, int | None], None]


class DownloadFailed(NightreelError):
    """A file can't be had. The message says of every mirror why."""

    kind = ErrorKind.ENVIRONMENT


class _Mismatch(NightreelError):
    """All of it came, and it is not the file."""

    kind = ErrorKind.ENVIRONMENT


def download(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str,
    size: int | None = None,
    on_progress: OnProgress | None = None,
    pause: float = 1.0,
) -> None:
    """Have the file with `sha256` at `target`, from the first of `urls` that gives it.

    A right file that is there already is left alone. `on_progress` gets the bytes so far and of all (None where
    nobody says). `pause` are the seconds before the second try of a mirror; they double.

    Raises:
        DownloadFailed: no mirror gives it, or this machine can't hold it. `target` is then as it was before.
    """
    if target.is_file() and file_sha256(target) == sha256:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            _from_any(urls, target, sha256, size, on_progress or (lambda done, total: None), pause)
    except OSError as error:
        raise DownloadFailed(f"'{target}' can't be written: {error.strerror or error}") from error


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep a second process off the same part; whoever dies lets go."""
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise DownloadFailed(f"'{target}' is being fetched by another process: wait for it") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever has it open notices that it guards no name any more
        lock.release()


def _from_any(
    urls: Sequence[str], target: Path, sha256: str, size: int | None, on_progress: OnProgress, pause: float
) -> None:
    refused = []
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True, headers={"User-Agent": user_agent()}) as client:
        for url in urls:
            try:
                _from_mirror(client, url, target, sha256, size, on_progress, pause)
                return
            except (httpx.HTTPError, httpx.InvalidURL, _Mismatch) as error:
                refused.append(f"{url}: {_reason(error)}")
    raise DownloadFailed(f"'{target.name}' can't be fetched: " + "; ".join(refused))


def _check_proxy(url: str) -> None:
    address = httpx.URL(url)
    proxy = proxy_for(address.scheme, address.host)
    if proxy is not None and askable(proxy) is None:
        raise httpx.ProxyError(
            f"the proxy that the environment names for it, '{address_without_secrets(proxy)}', is not one that can be "
            "asked: give one with http:// or https://, or the server in NO_PROXY"
        )


def _from_mirror(
    client: httpx.Client, url: str, target: Path, sha256: str, size: int | None, on_progress: OnProgress, pause: float
) -> None:
    """Fetch from one mirror, going on where a try broke off as long as each brings something."""
    _check_proxy(url)
    part = _part(target)
    backoff, fruitless = Backoff(pause), 0
    while True:
        before = _length(part)
        try:
            _receive(client, url, target, sha256, size, on_progress)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError):
            raise  # nobody is there: the next mirror
        except httpx.TransportError:
            # bytes that came count as success: a line that breaks every hundred megabytes still gets there
            fruitless = fruitless + 1 if _length(part) <= before else 1
            if fruitless >= ATTEMPTS:
                raise
            time.sleep(backoff.seconds(fruitless))
        else:
            break
    part.replace(target)
    _note(target).unlink(missing_ok=True)


def _receive(
    client: httpx.Client, url: str, target: Path, sha256: str, size: int | None, on_progress: OnProgress
) -> None:
    """One request; what it brings is added to the part, which is the checked whole when this returns."""
    part, note = _part(target), _note(target)
    have = _length(part)
    with client.stream("GET", url, headers=_headers(url, have, note)) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            resumed = True  # perhaps the part is the whole: the checksum says
        else:
            if response.status_code in BUSY:
                raise httpx.RemoteProtocolError(f"answers {response.status_code} {response.reason_phrase}")
            response.raise_for_status()
            resumed = bool(have) and _continues(response, part)
            start = have if resumed else 0
            total = _total(response, start) or size
            _check_room(target, (total or 0) - start)
            note.write_text(json.dumps({"url": url, "version": _version(response)}), encoding="utf-8")
            _append(response, part, start, total, on_progress)
    found = file_sha256(part)
    if found == sha256:
        with part.open("rb") as file:
            os.fsync(file.fileno())
        return
    part.unlink()
    note.unlink(missing_ok=True)
    if resumed:  # its beginning may be at fault: another mirror's, or an older version's
        _receive(client, url, target, sha256, size, on_progress)
        return
    raise _Mismatch(f"it gives another file, with SHA-256 {found} instead of {sha256}")


def _append(response: httpx.Response, part: Path, start: int, total: int | None, on_progress: OnProgress) -> None:
    done = checked = start
    with part.open("ab" if start else "wb") as file:
        on_progress(done, total)
        # as it comes: chunks of a size of ours would lose the last when a line breaks
        for chunk in response.iter_raw():
            file.write(chunk)
            done += len(chunk)
            on_progress(done, total)
            if total is not None and done > total:
                raise _Mismatch(f"it gives more than the {total:,} bytes that the file has")
            if done - checked > SPARE:  # nobody may have said how long it is
                checked = done
                _check_room(part, 0)
    if total is not None and done < total:
        raise httpx.RemoteProtocolError(f"it ended after {done:,} of {total:,} bytes")


def _headers(url: str, have: int, note: Path) -> dict[str, str]:
    # compressed on the way, a range would be one of the compressed bytes
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        try:
            noted = json.loads(note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            noted = {}
        if isinstance(noted, dict) and noted.get("url") == url and noted.get("version"):
            headers["If-Range"] = str(noted["version"])
    return headers


def _version(response: httpx.Response) -> str:
    """What `If-Range` may say: a strong ETag, or the date. A weak ETag vouches for no bytes."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else "" if tag else response.headers.get("Last-Modified", "")


def _continues(response: httpx.Response, part: Path) -> bool:
    """Whether the answer goes on where `part` ends; a server that ignores the range starts from the beginning."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return False
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not match or int(match.group(1)) != _length(part):
        part.unlink()  # the next try asks for the whole
        raise httpx.RemoteProtocolError("it answers with another part than the one that was asked for")
    return True


def _total(response: httpx.Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _check_room(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if needed + SPARE > free:
        raise DownloadFailed(
            f"no room for '{target}': {needed / 1e6:,.0f} MB are to come and {free / 1e6:,.0f} MB are free; "
            "free some, or choose another NIGHTREEL_MODELS_FOLDER"
        )


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"answers {error.response.status_code} {error.response.reason_phrase}".strip()
    return str(error) or type(error).__name__
