"""`nightreel watch`: the live page of an output, from storage alone."""

from __future__ import annotations

import json as json_text
import secrets
from contextlib import nullcontext, suppress
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import DONE
from flows.cli.opening import opened
from flows.cli.output import problems
from flows.job.output_videos import holds_output
from flows.watch.asking import BeginRerun
from flows.watch.outputs import OneOutput
from flows.watch.serving import LivePage
from infra.environment import prefect_api_url, prepare_prefect
from infra.settings import load_settings
from infra.storage.storage import Storage
from renderers.registry import Registry

__all__ = ["watch"]


def watch(
    output: str,
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535), help="port of the page; 0: any free one")] = 0,
    open_: Annotated[
        bool, Parameter(name="--open", negative="", help="open the page in this machine's browser")
    ] = False,
    json: Annotated[bool, Parameter(negative="", help="one line of JSON on stdout once the page is up")] = False,
) -> int:
    """Serve a live page of an output until Ctrl-C: what is drawn now, on which worker, when it ends, what failed.

    Example: nightreel watch s3://bucket/night

    It needs nothing but the storage, and listens on loopback only; the link that it prints holds the page's key.
    Frames are rendered again from the page where PREFECT_API_URL names a server; elsewhere it shows the command.

    Args:
        output: the root that is rendered to.
    """
    settings, storage = load_settings(), Storage(output)
    storage.check(write=False)
    if not holds_output(storage):  # one that is to be rendered into may well hold a manifest, say
        problems([f"nothing of nightreel lies in '{output}' yet: the page shows a run as soon as one begins there"])
    registry = Registry(settings.models_folder)
    page = LivePage.listen(OneOutput(storage), registry, secrets.token_urlsafe(32), port=port, begin=_begin())
    if json:
        print(json_text.dumps({"output": storage.root, "address": page.address, "link": page.link}), flush=True)
    else:
        print(f"{page.link}\nCtrl-C ends it", flush=True)
    with suppress(KeyboardInterrupt), opened(page.link) if open_ else nullcontext():
        page.serve()
    return DONE


def _begin() -> BeginRerun | None:
    if prefect_api_url() is None:
        return None
    prepare_prefect(quiet=True)
    from flows.orchestration.asking import begin_rerun  # Prefect takes seconds to import

    return begin_rerun
