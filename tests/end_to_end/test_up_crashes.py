"""SIGKILL of each part of `nightreel up` in the middle of a render: the run ends by itself, with every frame, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.test_up import a_render_under_way, frames_once
from tests.helpers.commands import alive, descendants, wait_until_gone
from tests.helpers.up import RunningUp, running_up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    with running_up(tmp_path_factory.mktemp("up")) as up:
        yield up


def ends_whole(up: RunningUp, run: str, folder: Path) -> int:
    """Assert that the run completes by itself with every frame, once; returns how often it was begun."""
    ended = up.wait_for_run(run, 600, ("COMPLETED", "FAILED", "CANCELLED"))
    assert ended["state_type"] == "COMPLETED", (ended["state"], up.logs())
    assert frames_once(folder / "long")
    return int(ended["run_count"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_rays_head_is_killed(up: RunningUp, tmp_path: Path) -> None:
    run = a_render_under_way(up, tmp_path)
    head, flow = up.process_of("ray"), up.flow_process()
    lost = descendants(head) | {head: 0}
    os.kill(head, signal.SIGKILL)
    assert ends_whole(up, run, tmp_path) > 1
    assert "Ray ended by SIGKILL; starting it again" in up.said()
    lost.pop(head)
    assert wait_until_gone(lost, 30) == []
    assert not Path(f"/proc/{flow}").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_a_server_of_rays_is_killed(up: RunningUp, tmp_path: Path, server: str) -> None:
    run = a_render_under_way(up, tmp_path)
    os.kill(up.ray_process(server), signal.SIGKILL)
    assert ends_whole(up, run, tmp_path) > 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_runner_is_killed(up: RunningUp, tmp_path: Path) -> None:
    run = a_render_under_way(up, tmp_path)
    runner = up.process_of("runner")
    lost = descendants(runner)
    os.kill(runner, signal.SIGKILL)
    # The flow run's process goes too: two of them would render the same frames.
    assert wait_until_gone(lost, 20) == []
    assert ends_whole(up, run, tmp_path) > 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_flow_process_is_killed(up: RunningUp, tmp_path: Path) -> None:
    run = a_render_under_way(up, tmp_path)
    os.kill(up.flow_process(), signal.SIGKILL)
    assert ends_whole(up, run, tmp_path) > 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_server_is_killed_and_the_run_does_not_notice(up: RunningUp, tmp_path: Path) -> None:
    run = a_render_under_way(up, tmp_path)
    flow = descendants(up.process_of("runner"))
    os.kill(up.process_of("server"), signal.SIGKILL)
    up.wait_until(lambda: "Prefect's server ended by SIGKILL" in up.said(), 20, "a word of it")
    assert ends_whole(up, run, tmp_path) == 1
    assert set(alive(flow)) <= set(flow)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_is_killed_at_once_and_started_again(tmp_path: Path) -> None:
    with running_up(tmp_path) as first:
        run = a_render_under_way(first, tmp_path)
        processes = first.processes()
        for pid in (first.pid, *processes):
            os.kill(pid, signal.SIGKILL)
        assert wait_until_gone(processes, 20) == []
    with running_up(tmp_path) as second:
        assert ends_whole(second, run, tmp_path) > 1
