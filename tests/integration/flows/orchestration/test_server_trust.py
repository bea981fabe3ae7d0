"""The doctor's question without a key reaches a server whose certificate only Prefect's settings vouch for."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_TLS_INSECURE_SKIP_VERIFY, temporary_settings

from flows.doctor.privacy import check_server_asks
from flows.orchestration.inspection import server_trust


class Refusing(BaseHTTPRequestHandler):
    """Asks everybody for a key."""

    def do_POST(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def own_certificate(file: Path) -> None:
    """A key and a certificate that it signed itself, for 127.0.0.1."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server with TLS, and the file of its certificate."""
    file = tmp_path / "own.pem"
    own_certificate(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with HTTPServer(("127.0.0.1", 0), Refusing) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.server_port}/api", file
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("setting", ["certificate", "any", "none"])
def test_the_certificate_is_trusted_as_prefects_settings_say(server: tuple[str, Path], setting: str) -> None:
    url, file = server
    settings: dict[Any, Any] = {
        "certificate": {PREFECT_API_SSL_CERT_FILE: str(file)},
        "any": {PREFECT_API_TLS_INSECURE_SKIP_VERIFY: True},
        "none": {},
    }[setting]
    with temporary_settings(settings):
        (found,) = check_server_asks(url, server_trust())
    if setting == "none":
        assert "CERTIFICATE_VERIFY_FAILED" in found.what
    else:
        assert (found.level, found.what) == ("ok", "the server asks for a key")
