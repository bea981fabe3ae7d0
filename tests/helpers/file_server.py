"""A real HTTP server on loopback that serves files well, or as badly as the world does."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Headers = dict[str, str]


@dataclass
class FileServer:
    """`files` by path. `requests` are those that came: (path, headers). The rest is how it misbehaves."""

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, Headers]] = field(default_factory=list)
    breaks_after: list[int] = field(default_factory=list)  # bytes sent before the line breaks, request by request
    ranges: bool = True  # answers Range with 206
    validator: str = "etag"  # or "date", "weak", "none"
    length: bool = True  # says Content-Length
    statuses: list[int] = field(default_factory=list)  # answers these first, request by request
    redirects: dict[str, str] = field(default_factory=dict)
    lies_about_ranges: bool = False  # answers a range with the file's beginning, as 206
    headers: Headers = field(default_factory=dict)  # sent with every file
    url: str = ""
    on_request: Callable[[str], None] | None = None

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        headers = dict(handler.headers.items())
        self.requests.append((handler.path, headers))
        if self.on_request is not None:
            self.on_request(handler.path)
        if handler.path in self.redirects:
            return self._say(handler, 302, {"Location": self.redirects[handler.path]}, b"")
        if self.statuses:
            return self._say(handler, self.statuses.pop(0), {}, b"busy")
        data = self.files.get(handler.path)
        if data is None:
            return self._say(handler, 404, {}, b"<html>no such file</html>")
        tag = f'"{hashlib.md5(data).hexdigest()}"'
        validator = {"etag": {"ETag": tag}, "weak": {"ETag": f"W/{tag}"}, "none": {},
                     "date": {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}}[self.validator]  # fmt: skip
        start = self._start(headers, validator)
        validator |= self.headers
        if start is not None and start >= len(data):
            return self._say(handler, 416, {"Content-Range": f"bytes */{len(data)}"}, b"")
        if start is None:
            return self._say(handler, 200, validator, data)
        given = 0 if self.lies_about_ranges else start
        about = {"Content-Range": f"bytes {given}-{len(data) - 1}/{len(data)}"}
        return self._say(handler, 206, validator | about, data[given:])

    def _start(self, headers: Headers, validator: Headers) -> int | None:
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        if not match or not self.ranges:
            return None
        condition = headers.get("If-Range")
        if condition is not None and condition not in validator.values():
            return None
        return int(match.group(1))

    def _say(self, handler: BaseHTTPRequestHandler, status: int, headers: Headers, body: bytes) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if self.length:
            handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if self.breaks_after and status in (200, 206):
            body = body[: self.breaks_after.pop(0)]
        handler.wfile.write(body)


@contextmanager
def file_server(**how: object) -> Iterator[FileServer]:
    """A server while the block runs, on a port of its own."""
    server = FileServer(**how)  # type: ignore[arg-type]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
