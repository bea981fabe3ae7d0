"""Addresses as parameters of a run: what a run is given lies in Prefect's tables, for whoever reads them."""

from manifests.masking import address_without_secrets, has_secret
from renderers.errors import BadInput

__all__ = ["ADDRESS", "refuse_secrets", "without_secrets_only"]

_REFUSAL = (
    "what a run is given lies in Prefect's tables, and this address holds a password, a token or a query: leave it "
    "out, and set credentials in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; download what "
    "lies behind a signed link"
)
# As far as a form can check it, before the server keeps it. One that refuses shows the pattern, so this begins with a
# sentence, which matches nothing that anybody types.
ADDRESS = (
    r"^No password, token or query in an address: set credentials in the environment$"
    r"|^(?!(?!abfss?:|wasbs?:)[A-Za-z][\w+.-]*://[^/?#]*(?:@|%40))"
    r"(?!(?:https?|wss?|ftps?)://[^?#]*[?#].)"
    r"(?![A-Za-z][\w+.-]*://[^?#]*[?#][\w.~%-]+(?:=|%3D))"
    # without a scheme: a name with a password, the query of a host; and what is contents
    r"(?!(?://)?[^/\\?#@\s:]+:[^/\\?#@\s]+@)"
    r"(?!(?://)?(?:[\w-]+\.)+[A-Za-z]{2,24}(?::\d+)?/[^?#]*\?[\w.~%-]+(?:=|%3D))"
    r"(?!data:[^,]*,)"
)


def without_secrets_only(address: str) -> str:
    """Return `address`. Raises ValueError if it holds a secret, and does not repeat it."""
    if has_secret(address):
        raise ValueError(_REFUSAL)
    return address


def refuse_secrets(**addresses: str | None) -> None:
    """Check those that a command hands to a run, by the names of its parameters.

    Raises:
        BadInput: one holds a secret.
    """
    for name, address in addresses.items():
        if address is not None and has_secret(address):
            raise BadInput(f"{name} '{address_without_secrets(address)}': {_REFUSAL}")
