"""What the forms of the flows say: for every parameter, what its one description says, as the command's help does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_args

import cloudpickle
import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import TypeAdapter

from flows.cli.finetune import finetune
from flows.cli.render import render
from flows.cli.rerun import rerun
from flows.orchestration.deployments import DEPLOYMENTS, Deployment
from flows.orchestration.forms.descriptions import fields_of, hints_of
from flows.orchestration.forms.fields import IMAGES
from flows.orchestration.registration import flow_of

deployment_of = {deployment.name: deployment for deployment in DEPLOYMENTS}
every_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment.name)


def descriptions_of(function: Callable[..., Any]) -> dict[str, list[tuple[str | None, list[Any]]]]:
    """What the fields of a function's parameters say: description and bounds."""
    return {
        name: [(field.description, field.metadata) for field in fields_of(hint)]
        for name, hint in hints_of(function).items()
    }


# a command has no server that would begin runs of a manifest's parts
OF_FORMS_ALONE = ("videos_per_run", "part")


@every_deployment
def test_every_field_of_a_form_has_its_description(deployment: Deployment) -> None:
    flow = flow_of(deployment)
    assert flow.name == deployment.name
    shown = parameter_schema(flow.fn).model_dump_for_openapi()["properties"]
    said = {name: fields[-1][0] for name, fields in descriptions_of(flow.fn).items()}
    assert {name: field.get("description") for name, field in shown.items()} == said
    assert all(said.values())
    assert (flow.description or "").startswith((flow.fn.__doc__ or "?").split("\n")[0])


@every_deployment
def test_no_form_shows_words_of_types(deployment: Deployment) -> None:
    """From `int | None` Prefect draws two buttons, "int" and "None". What replaces it has the same bounds."""
    flow = flow_of(deployment)
    shown = parameter_schema(flow.fn).model_dump_for_openapi()["properties"]
    assert not [name for name, field in shown.items() if "anyOf" in field or "type" not in field]
    assert not [name for name, field in shown.items() if field.get("default", "") is None], "null would be refused"
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "type")
    for name, hint in hints_of(flow.fn).items():
        kinds = get_args(get_args(hint)[0])
        if type(None) in kinds:
            whole = TypeAdapter(Annotated[kinds[0], *fields_of(hint)]).json_schema()
            assert {key: shown[name].get(key) for key in bounds} == {key: whole.get(key) for key in bounds}, name


@pytest.mark.parametrize(
    ("name", "command", "renamed", "own"),
    [
        ("render-manifest", render, {}, {"actors", "json"}),
        ("rerun-frames", rerun, {}, {"json"}),
        ("finetune", finetune, {"base": "from_"}, {"json"}),
    ],
)
def test_a_form_and_its_command_agree(
    name: str, command: Callable[..., Any], renamed: dict[str, str], own: set[str]
) -> None:
    """On parameters, descriptions, bounds and defaults. (Pictures are a list in a form, and words for a command.)"""
    form = flow_of(deployment_of[name]).fn
    in_form, in_command = descriptions_of(form), descriptions_of(command)
    for parameter in OF_FORMS_ALONE:
        in_form.pop(parameter, None)
    assert {renamed.get(parameter, parameter) for parameter in in_form} == in_command.keys() - own
    form_defaults, defaults = inspect.signature(form).parameters, inspect.signature(command).parameters
    for parameter, fields in in_form.items():
        other = renamed.get(parameter, parameter)
        if parameter == "images":
            assert (fields[0][0], in_command[other]) == (IMAGES, [(IMAGES, [])])
            continue
        assert in_command[other] == fields
        assert defaults[other].default == form_defaults[parameter].default


@every_deployment
def test_a_served_flow_checks_its_parameters_in_its_own_process(deployment: Deployment) -> None:
    """A served deployment hands the flow over by value: all that its signature names must travel along."""
    flow = flow_of(deployment)
    module = inspect.getmodule(flow.fn)
    cloudpickle.register_pickle_by_value(module)
    try:
        copied = cloudpickle.loads(cloudpickle.dumps(flow))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert isinstance(copied, Flow)
    required = {
        name: ["a"] if name == "images" else "a"
        for name, parameter in inspect.signature(flow.fn).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    # Prefect adds the defaults of what was left out
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(flow.fn).parameters.items()
        if name not in required
    }
    given = {**required, **defaults}
    assert copied.validate_parameters(given) == given
