"""`ray start` for a busy machine, run as `python -m infra.ray.start [options of ray start]`.

Its raylet is told the ports of all of its agents. Otherwise it waits for each of them to say its own, 15 s at most, and
dies: "Timed out waiting for file .../metrics_agent_port_..." in raylet.out. An agent that takes longer to be imported
than that never says it in time, however often it is tried.
"""

from __future__ import annotations

import sys

from infra.environment import forget_head_patience
from infra.ports import free_ports
from infra.ray.node_process import be_patient  # before Ray: sets its environment

__all__ = ["start"]


def start(options: list[str]) -> None:
    """Do what `ray start` does with these options; ports of agents that are not among them are free ones."""
    from ray.scripts.scripts import main

    listen, grpc, runtime, export = free_ports(4)
    be_patient(listen)
    forget_head_patience()
    # the last of an option that is given twice counts, so a person's; but for the first, which the raylet is told
    ports = [
        f"--dashboard-agent-grpc-port={grpc}",
        f"--runtime-env-agent-port={runtime}",
        f"--metrics-export-port={export}",
    ]
    sys.argv = ["ray", "start", *ports, *options, f"--dashboard-agent-listen-port={listen}"]
    main()


if __name__ == "__main__":
    start(sys.argv[1:])
