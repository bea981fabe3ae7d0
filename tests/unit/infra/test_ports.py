import socket

from infra.ports import free_port, free_ports


def test_ports_differ_and_can_be_had() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as it:
        it.bind(("127.0.0.1", free_port()))
