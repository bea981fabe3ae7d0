"""The live page as a web application: its own code for anybody who reaches it, everything else for who has the key."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from flows.report.wording import clean
from flows.watch.access import COOKIE_SECONDS, PREFIX, Access, Refusal
from flows.watch.again import rendered_again
from flows.watch.asking import AskedOfRun, AskedRerun, BeginRerun, VideoId, ask_of_run, rerun_command
from flows.watch.failures import refusal_of, safe_link
from flows.watch.grid import MOST_FRAMES, VideoGrid, frame_details, grid_page, read_grid
from flows.watch.outputs import Outputs
from flows.watch.overview import overview as overview_of
from flows.watch.pictures import Thumbnails, whole_picture
from flows.watch.reading import OutputReader
from flows.watch.videos import MOST_A_PAGE, PAGE
from flows.watch.videos import Query as VideoQuery
from flows.watch.view import view as view_of
from infra.storage.errors import without_secrets
from infra.storage.storage import ObjectMissing, Storage
from manifests.errors import NightreelError
from manifests.schema import format_frames
from renderers.registry import Registry

__all__ = ["make_app"]

# What the browser may load: nothing but what this page serves, and no text can become a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
ASSETS = {
    **{
        f"{name}.js": ("flows.watch", "text/javascript")
        for name in ("watch", "dom", "failures", "grid", "outputs", "remedy", "runs", "state")
    },
    "watch.css": ("flows.watch", "text/css"),
    "report.css": ("flows.report", "text/css"),
}
READERS = 16  # outputs whose documents are kept in memory
GRIDS = 8
GRID_SECONDS = 3.0

Name = Annotated[str, Query(alias="o", max_length=64)]
Frame = Annotated[int, Query(ge=0, le=10_000_000)]
Digest = Annotated[str, Query(pattern=r"^[0-9a-f]{16}$")]
Video = Annotated[VideoId, Query()]


class _Key(BaseModel):
    key: str = Field(max_length=200)


@dataclass
class _Output:
    """One output as it is shown."""

    storage: Storage
    reader: OutputReader
    thumbnails: Thumbnails
    grids: OrderedDict[str, tuple[float, VideoGrid | None]]


class _Shown:
    """The outputs that were looked at, opened once each."""

    def __init__(self, outputs: Outputs, registry: Registry) -> None:
        self._outputs, self._registry = outputs, registry
        self._open: OrderedDict[str, _Output] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> Mapping[str, str]:
        return self._outputs.all()

    def storage(self, name: str) -> Storage:
        """Open an output for one look, without keeping it: the list of all may name hundreds."""
        with self._lock:
            if name in self._open:
                return self._open[name].storage
        return Storage(self._root(name))

    def _root(self, name: str) -> str:
        root = self._outputs.all().get(name)
        if root is None:
            raise HTTPException(404, "no such output")
        return root

    def get(self, name: str) -> _Output:
        root = self._root(name)
        with self._lock:
            if name not in self._open:
                storage = Storage(root)
                self._open[name] = _Output(
                    storage, OutputReader(storage, self._registry), Thumbnails(storage), OrderedDict()
                )
            self._open.move_to_end(name)
            while len(self._open) > READERS:
                self._open.popitem(last=False)
            return self._open[name]

    def grid(self, name: str, video: str, now: float) -> VideoGrid:
        output = self.get(name)
        with self._lock:
            read_at, grid = output.grids.get(video, (float("-inf"), None))
        if now - read_at > GRID_SECONDS:
            grid = read_grid(output.storage, video, self._registry)
            with self._lock:
                output.grids[video] = (now, grid)
                output.grids.move_to_end(video)
                while len(output.grids) > GRIDS:
                    output.grids.popitem(last=False)
        if grid is None:
            raise HTTPException(404, "nothing of this video lies in the output yet")
        return grid


def make_app(
    outputs: Outputs, access: Access, registry: Registry, clock: Callable[[], float], begin: BeginRerun | None = None
) -> FastAPI:
    """Make the application. `begin` begins re-runs; without it the page shows the command that does."""
    app = FastAPI(title="nightreel watch", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    shown = _Shown(outputs, registry)
    app.include_router(_page(access), prefix=PREFIX)
    app.include_router(_looking(shown, clock), prefix=f"{PREFIX}/api")
    app.include_router(_asking(shown, clock, begin), prefix=f"{PREFIX}/api")

    @app.get("/", include_in_schema=False)
    def root() -> Response:
        return RedirectResponse(f"{PREFIX}/")

    @app.middleware("http")
    async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
        refusal = access.refuses(
            request.method, request.headers, request.cookies, public=not _is_guarded(request.url.path)
        )
        response = _refused(refusal) if refusal is not None else await answer(request)
        response.headers.update(
            {
                "Content-Security-Policy": POLICY,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "X-Frame-Options": "DENY",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cross-Origin-Opener-Policy": "same-origin",
            }
        )
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.exception_handler(NightreelError)
    def unusable(_: Request, error: NightreelError) -> JSONResponse:
        status = 404 if isinstance(error, ObjectMissing) else 503
        return JSONResponse({"error": clean(without_secrets(str(error)), 2000)}, status)

    return app


def _is_guarded(path: str) -> bool:
    return path.startswith(f"{PREFIX}/api/") and path != f"{PREFIX}/api/key"


def _refused(refusal: Refusal) -> JSONResponse:
    return JSONResponse({"error": refusal.message}, refusal.status)


def _page(access: Access) -> APIRouter:
    """The page's own code, which says nothing of any output, and the trade of the key for a cookie."""
    router = APIRouter()

    @router.get("/")
    def page() -> Response:
        return Response(_asset("flows.watch", "assets/watch.html"), media_type="text/html")

    @router.get("/assets/{name}")
    def asset(name: str) -> Response:
        if name not in ASSETS:
            raise HTTPException(404)
        package, kind = ASSETS[name]
        path = f"assets/{name}" if package == "flows.watch" else name
        return Response(_asset(package, path), media_type=kind, headers={"Cache-Control": "no-cache"})

    @router.post("/api/key")
    def key(given: _Key) -> Response:
        if not access.opens(given.key):
            return _refused(Refusal(401, "this key opens another page: take the link that was printed last"))
        response = JSONResponse({})
        response.set_cookie(
            access.cookie_name, access.cookie, max_age=COOKIE_SECONDS, path=PREFIX, httponly=True, samesite="strict"
        )
        return response

    return router


@cache
def _asset(package: str, path: str) -> bytes:
    return files(package).joinpath(path).read_bytes()


def _looking(shown: _Shown, clock: Callable[[], float]) -> APIRouter:
    router = APIRouter()

    @router.get("/outputs")
    def outputs() -> Any:
        return [{"name": name, "output": without_secrets(root)} for name, root in shown.names().items()]

    @router.get("/overview")
    def overview(name: Name) -> Any:
        return overview_of(shown.storage(name))

    @router.get("/view")
    def view(
        request: Request,
        name: Name,
        state: Annotated[str, Query(max_length=100)] = "",
        text: Annotated[str, Query(max_length=200)] = "",
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_A_PAGE)] = PAGE,
    ) -> Response:
        query = VideoQuery(frozenset(filter(None, state.split(","))), text, offset, limit)
        body = json.dumps(
            view_of(shown.get(name).reader.snapshot(), query), separators=(",", ":"), allow_nan=False
        ).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache, private"}
        # a proxy that compressed the answer has marked the tag
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    @router.get("/video")
    def video(
        name: Name,
        video: Video,
        start: Frame = 0,
        count: Annotated[int, Query(ge=1, le=MOST_FRAMES)] = MOST_FRAMES,
    ) -> Any:
        reason = refusal_of(shown.get(name).reader.snapshot(), video)
        try:
            grid = shown.grid(name, video, clock())
        except HTTPException:
            if reason is None:
                raise
            grid = VideoGrid(video, "", (), {}, plan=False)  # it was never planned, and nothing lies there
        return {**grid_page(grid, start, count), "refused": reason}

    @router.get("/frame")
    def frame(name: Name, video: Video, frame: Frame) -> Any:
        grid = shown.grid(name, video, clock())
        if frame >= len(grid.states):
            raise HTTPException(404, f"the video has {len(grid.states)} frames")
        return frame_details(shown.get(name).storage, grid, frame)

    @router.get("/thumbnail")
    def thumbnail(name: Name, video: Video, frame: Frame, digest: Digest) -> Response:
        return _picture(shown.get(name).thumbnails.get(video, frame, digest), "image/webp")

    @router.get("/picture")
    def picture(name: Name, video: Video, frame: Frame, digest: Digest) -> Response:
        return _picture(whole_picture(shown.get(name).storage, video, frame, digest), "image/png")

    return router


def _picture(data: bytes | None, kind: str) -> Response:
    if data is None:
        raise HTTPException(404, "the frame's picture can't be read")
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=60"})


def _again(shown: _Shown, asked: AskedRerun, now: float) -> dict[str, Any]:
    """What a re-run renders, as far as the video's plan can be read here."""
    unknown = {"again": None, "frames": "", "problem": ""}
    try:
        grid = shown.grid(asked.output, asked.video, now)
        if grid.planned is None:
            return unknown
        frames = rendered_again(grid.planned, grid.states, asked.frames, asked.after, asked.seed)
    except NightreelError as error:
        return {**unknown, "problem": clean(without_secrets(str(error)), 2000)}
    except HTTPException:
        return unknown  # nothing of it lies there
    return {"again": len(frames), "frames": format_frames(sorted(frames)), "problem": ""}


def _asking(shown: _Shown, clock: Callable[[], float], begin: BeginRerun | None) -> APIRouter:
    router = APIRouter()

    @router.post("/rerun")
    def rerun(asked: AskedRerun) -> Any:
        output = shown.get(asked.output).storage
        if problem := asked.problem():
            raise HTTPException(422, problem)
        command = rerun_command(output.root, asked)
        if begin is None:
            return {"command": command}
        again = _again(shown, asked, clock())
        try:
            begun = begin(output.root, asked.video, asked.frames, asked.after, asked.seed)
        except NightreelError as error:
            return {"command": command, "error": clean(without_secrets(str(error)), 2000)}
        return {"command": command, "name": begun.name, "link": safe_link(begun.link), **again}

    @router.post("/again")
    def again(asked: AskedRerun) -> Any:
        if problem := asked.problem():
            raise HTTPException(422, problem)
        return _again(shown, asked, clock())

    @router.post("/ask")
    def ask(asked: AskedOfRun) -> Any:
        output = shown.get(asked.output)
        if problem := asked.problem():
            raise HTTPException(422, problem)
        snapshot = output.reader.snapshot()
        run = next((run for run in snapshot.runs if run.record.run == asked.run), None)
        if run is None or not run.alive(snapshot.now):
            raise HTTPException(409, "this run is not under way: nobody would hear it")
        return {"stamp": ask_of_run(output.storage, asked)}

    return router
