"""The live page as a web application: its own code for anybody who reaches it, everything else for who has the key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from flows.report.wording import clean
from flows.watch.access import COOKIE_SECONDS, PREFIX, Access, Refusal
from flows.watch.again import branches_again, rendered_again
from flows.watch.asking import AskedOfRun, AskedRerun, BeginRerun, VideoId, ask_of_run, rerun_command
from flows.watch.failures import refusal_of, safe_link
from flows.watch.film import film
from flows.watch.grid import MOST_FRAMES, VideoGrid, frame_details, grid_page
from flows.watch.outputs import Outputs
from flows.watch.overview import overview as overview_of
from flows.watch.pictures import whole_picture
from flows.watch.shown_outputs import ShownOutputs
from flows.watch.videos import MOST_A_PAGE, PAGE
from flows.watch.videos import Query as VideoQuery
from flows.watch.view import view as view_of
from infra.storage.storage import ObjectMissing
from manifests.errors import NightreelError
from manifests.masking import without_secrets
from manifests.schema import format_frames
from renderers.registry import Registry

__all__ = ["make_app"]

# What the browser may load: nothing but what this page serves, and no text can become a script.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_KINDS = {".js": "text/javascript", ".css": "text/css"}
# The page's scripts and styles, and the report's style, on which they build; the page itself is served by its path.
_FILES = [*files("flows.watch").joinpath("assets").iterdir(), files("flows.report").joinpath("report.css")]
_ASSETS = {it.name: it for it in _FILES if Path(it.name).suffix in _KINDS}

Name = Annotated[str, Query(alias="o", max_length=64)]
Frame = Annotated[int, Query(ge=0, le=10_000_000)]
Digest = Annotated[str, Query(pattern=r"^[0-9a-f]{16}$")]
Video = Annotated[VideoId, Query()]


class _Key(BaseModel):
    key: str = Field(max_length=200)


def make_app(
    outputs: Outputs, access: Access, registry: Registry, clock: Callable[[], float], begin: BeginRerun | None = None
) -> FastAPI:
    """Make the application. `begin` begins re-runs; without it the page shows the command that does."""
    app = FastAPI(title="nightreel watch", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    shown = ShownOutputs(outputs, registry)
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
        source = files("flows.watch").joinpath("assets/watch.html")
        return Response(source.read_bytes(), media_type="text/html")

    @router.get("/assets/{name}")
    def asset(name: str) -> Response:
        if name not in _ASSETS:
            raise HTTPException(404)
        kind = _KINDS[Path(name).suffix]
        return Response(_ASSETS[name].read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})

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
def _looking(shown: ShownOutputs, clock: Callable[[], float]) -> APIRouter:
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
            grid = VideoGrid(video, "", (), {})  # it was never planned, and nothing lies there
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

    @router.get("/film")
    def whole_video(request: Request, name: Name, video: Video) -> Response:
        return film(shown.get(name).storage, video, request.headers.get("range"))

    return router


def _picture(data: bytes | None, kind: str) -> Response:
    if data is None:
        raise HTTPException(404, "the frame's picture can't be read")
    return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=60"})


def _again(shown: ShownOutputs, asked: AskedRerun, now: float) -> dict[str, Any]:
    """What a re-run renders, as far as the video's plan can be read here."""
    unknown: dict[str, Any] = {"again": None, "frames": "", "branches": {}, "problem": ""}
    try:
        grid = shown.grid(asked.output, asked.video, now)
        if grid.plan is None:
            return unknown
        again = rendered_again(grid.plan, grid.states, asked.frames, asked.after, asked.seed)
        branches = branches_again(shown.get(asked.output).storage, again.plan, shown.registry, asked.after)
    except NightreelError as error:
        return {**unknown, "problem": clean(without_secrets(str(error)), 2000)}
    except HTTPException:
        return unknown  # nothing of it lies there
    frames = format_frames(sorted(again.frames))
    return {"again": len(again.frames), "frames": frames, "branches": branches, "problem": ""}


def _asking(shown: ShownOutputs, clock: Callable[[], float], begin: BeginRerun | None) -> APIRouter:
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
