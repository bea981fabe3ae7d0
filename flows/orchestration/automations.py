"""What the Prefect server does by itself for our runs: it notices dead ones, and nights that do not begin, starts
crashed ones again, and calls a webhook.

- `nightreel: no sign of life`: a run whose heartbeats stop is Crashed. Prefect's runner notices a dead flow process,
  but nobody notices a dead runner or machine, and such a run would stay Running for ever.
- `nightreel: goes on after a crash`: a Crashed run is scheduled again, on the same deployment; it plans from storage
  and renders what is missing. Bounded by NIGHTREEL_CRASH_RESTARTS: the server puts the number of starts into each
  event, and the automation asks for the numbers that it acts on, so that a run which takes its machine down each time
  stays Crashed in the end.
- `nightreel: crashed while starting`: as before, for runs that crash before they begin, which leaves that number at 0:
  once, and if it happens again within ten minutes the run stays Crashed.
- `nightreel: night not begun`: a scheduled `nightly` run that is still Late NIGHTREEL_LATE_MINUTES after the server
  called it so becomes `NotBegun`, with the reason in its message; it begins as soon as somebody takes it up.
- `nightreel: calls when a night has not begun`, `nightreel: calls when a run ends`: the webhook NIGHTREEL_NOTIFY_URL
  gets a JSON document then, a run's end of whatever kind and of whichever flow of ours. The address is a secret, kept
  in a block of Prefect's.

The server must run its `triggers`, `actions` and `late_runs` services, as `prefect server start` does by default.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events import ResourceSpecification
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from flows.orchestration.deployments import NAMES, NIGHTLY
from infra.settings import InfraSettings, load_settings

__all__ = ["install", "lacking", "planned", "survey"]

Standing = Literal["created", "changed", "removed", "unchanged"]

NAME_PREFIX = "nightreel: "
BLOCK = "nightreel-notify"
NOT_BEGUN = "NotBegun"
MISSED_HEARTBEATS = 3
# A single crash before the start differs from one that comes again and again by how long ago the last one was.
START_PATIENCE = timedelta(minutes=10)

_RUN = {"prefect.resource.id": "prefect.flow-run.*"}
_DEPLOYED = {"prefect.resource.role": "deployment"}
_NIGHTLY = {"prefect.resource.role": "flow", "prefect.resource.name": NIGHTLY}
# `text` is what chat services (Slack, Mattermost, ...) show.
_NOTE = """{
  "flow": {{ flow.name | tojson }},
  "run": {{ flow_run.name | tojson }},
  "id": {{ flow_run.id | string | tojson }},
  "state": {{ flow_run.state.name | tojson }},
  "type": {{ flow_run.state.type.value | tojson }},
  "message": {{ (flow_run.state.message or "") | tojson }},
  "link": {{ flow_run | ui_url | tojson }},
  "text": {{ (flow_run.name ~ ": " ~ flow_run.state.name ~ ". " ~ (flow_run.state.message or "")) | tojson }}
}"""


async def install(settings: InfraSettings | None = None) -> list[str]:
    """Bring the server's automations to what `settings` (this process's own) ask for; returns the names of ours.

    Those that are there as they should be are left alone; one that somebody switched off stays off. Without a
    NIGHTREEL_NOTIFY_URL, an earlier notification is removed.
    """
    settings = settings or load_settings()
    block = await _save_block(settings.notify_url)
    wanted = planned(settings, block)
    async with get_client() as client:
        there = await _installed(client)
        for automation in wanted:
            await _put(client, automation, there.pop(automation.name, []))
        for outdated in there.values():
            for automation in outdated:
                await client.delete_automation(automation.id)
        if not settings.notify_url:
            await _delete_block(client)
    return [automation.name for automation in wanted]


async def lacking(settings: InfraSettings) -> list[str]:
    """The names of the automations that `install` would create or change."""
    return [name for name, standing in (await survey(settings)).items() if standing in ("created", "changed")]


async def survey(settings: InfraSettings) -> dict[str, Standing]:
    """What `install` would do to each automation of ours, by name."""
    async with get_client() as client:
        there = await _installed(client)
        block, address = await _saved_block(client)
    given = settings.notify_url
    # without a block the notification is lacking, whatever its id will be
    wanted = planned(settings, (block or uuid4()) if given else None)
    moved = bool(given and address != given.get_secret_value())

    def standing(automation: AutomationCore) -> Standing:
        found = there.pop(automation.name, [])
        if not found:
            return "created"
        same = len(found) == 1 and _content(found[0]) == _content(
            automation.model_copy(update={"enabled": found[0].enabled})
        )
        calls = any(isinstance(action, CallWebhook) for action in automation.actions)
        return "unchanged" if same and not (calls and moved) else "changed"

    return {
        **{automation.name: standing(automation) for automation in wanted},
        **dict.fromkeys(there, "removed"),
    }


def planned(settings: InfraSettings, block: Any = None) -> list[AutomationCore]:
    """The automations that `settings` ask for; `block` is the id of the webhook's block, None without one."""
    silence = timedelta(seconds=MISSED_HEARTBEATS * settings.heartbeat_seconds)
    ours = {"prefect.resource.role": "flow", "prefect.resource.name": list(NAMES)}
    found = [
        AutomationCore(
            name=f"{NAME_PREFIX}no sign of life",
            description=f"A run that was not heard of for {silence.total_seconds():.0f} s is Crashed.",
            trigger=EventTrigger(
                match=_labels(_RUN),
                match_related=[_labels(ours)],
                for_each={"prefect.resource.id"},
                # A run's end counts as a sign of life, and so does any other change of its state: from there on it is
                # the next heartbeat that begins a new wait.
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.*"},
                posture=Posture.Proactive,
                threshold=1,
                within=silence,
            ),
            actions=[
                ChangeFlowRunState(
                    state=StateType.CRASHED,
                    name="Crashed",
                    message=f"No sign of life for {silence.total_seconds():.0f} s: its process or machine is gone",
                )
            ],
        )
    ]
    if settings.crash_restarts:
        counted = [str(count) for count in range(1, settings.crash_restarts + 1)]
        found += [
            _restart(f"{NAME_PREFIX}goes on after a crash", ours, counted, timedelta(0)),
            _restart(f"{NAME_PREFIX}crashed while starting", ours, ["0"], START_PATIENCE),
        ]
    found.append(_not_begun(settings.late_minutes))
    if block is not None:
        ends = [
            state.value for state in (StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
        ]
        found += [
            _call(f"{NAME_PREFIX}calls when a run ends", block, {"prefect.state-type": ends}, ours, "*"),
            _call(f"{NAME_PREFIX}calls when a night has not begun", block, {}, _NIGHTLY, NOT_BEGUN),
        ]
    return found


def _not_begun(minutes: float) -> AutomationCore:
    within = timedelta(minutes=minutes)
    return AutomationCore(
        name=f"{NAME_PREFIX}night not begun",
        description=f"A scheduled night that is late for {minutes:g} minutes is shown as {NOT_BEGUN}.",
        trigger=EventTrigger(
            match=_labels(_RUN),
            match_related=[_labels(_NIGHTLY)],
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.Late"},
            expect={"prefect.flow-run.*"},  # it begins, or somebody cancels it
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name=NOT_BEGUN,  # not `Late`, which would begin the wait again
                message=f"Late for {minutes:g} minutes, and nobody has begun it. Does `nightreel up` run, or the work "
                "pool's worker, and does its limit of runs leave room? `nightreel doctor` looks. It begins when it can",
            )
        ],
    )


def _call(name: str, block: Any, run: dict[str, Any], flows: dict[str, Any], state: str) -> AutomationCore:
    """Call the webhook of `block` whenever a run of `flows` gets a state of this name ("*": any) and these labels."""
    return AutomationCore(
        name=name,
        description="Calls the webhook of the block 'nightreel-notify'.",
        trigger=EventTrigger(
            match=_labels({**_RUN, **run}),
            match_related=[_labels(flows)],
            for_each={"prefect.resource.id"},
            expect={f"prefect.flow-run.{state}"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[CallWebhook(block_document_id=block, payload=_NOTE)],
    )


def _restart(name: str, ours: dict[str, Any], counts: list[str], once_in: timedelta) -> AutomationCore:
    return AutomationCore(
        name=name,
        description="A run that crashed is scheduled again, and goes on from what is in storage.",
        trigger=EventTrigger(
            match=_labels({**_RUN, "prefect.state-type": StateType.CRASHED.value, "prefect.run-count": counts}),
            match_related=[_labels(ours), _labels(_DEPLOYED)],  # without a deployment nobody could start it
            for_each={"prefect.resource.id"},
            expect={"prefect.flow-run.*"},
            posture=Posture.Reactive,
            threshold=1,
            within=once_in,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED,
                name="AwaitingRetry",
                message="Crashed; goes on with what is missing in storage",
            )
        ],
    )


def _labels(labels: dict[str, Any]) -> ResourceSpecification:
    return ResourceSpecification(labels)


async def _installed(client: PrefectClient) -> dict[str, list[Automation]]:
    """Ours on the server, by name. Names are not unique there: two processes may have installed at one moment."""
    found: dict[str, list[Automation]] = {}
    for automation in await client.read_automations():
        if automation.name.startswith(NAME_PREFIX):
            found.setdefault(automation.name, []).append(automation)
    return found


async def _put(client: PrefectClient, wanted: AutomationCore, there: list[Automation]) -> None:
    """Create it, or bring the first of those `there` up to date; the others go."""
    for twin in there[1:]:
        await client.delete_automation(twin.id)
    if not there:
        await client.create_automation(wanted)
        return
    wanted = wanted.model_copy(update={"enabled": there[0].enabled})
    if _content(there[0]) != _content(wanted):
        # the client sends only fields that were set
        await client.update_automation(there[0].id, AutomationCore(**wanted.model_dump(exclude={"owner_resource"})))


def _content(automation: AutomationCore) -> dict[str, Any]:
    kept = set(AutomationCore.model_fields) - {"owner_resource"}
    content = AutomationCore(**automation.model_dump()).model_dump(mode="json", include=kept)
    trigger = content["trigger"]
    for label in ("after", "expect", "for_each"):
        trigger[label] = sorted(trigger[label])
    return content


async def _save_block(url: SecretStr | None) -> Any:
    if url is None:
        return None
    webhook = Webhook(url=url, headers={"Content-Type": "application/json"})
    return await webhook.asave(BLOCK, overwrite=True)


async def _saved_block(client: PrefectClient) -> tuple[Any, str]:
    """The id of the webhook's block and the address in it; None and '' without one."""
    try:
        document = await client.read_block_document_by_name(BLOCK, "webhook", include_secrets=True)
    except ObjectNotFound:
        return None, ""
    return document.id, str(document.data.get("url", ""))


async def _delete_block(client: PrefectClient) -> None:
    for document in await client.read_block_documents_by_type("webhook"):
        if document.name == BLOCK:
            await client.delete_block_document(document.id)
