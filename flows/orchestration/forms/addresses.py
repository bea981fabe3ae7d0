"""Addresses as parameters of a run: what a run is given lies in Prefect's tables, for whoever reads them."""

from manifests.masking import address_without_secrets, has_secret
from manifests.secret_paths import SECRET_HOSTS, WEBHOOK_HOSTS
from renderers.errors import BadInput

__all__ = ["ADDRESS", "refuse_secrets", "without_secrets_only"]

_REFUSAL = (
    "what a run is given lies in Prefect's tables, and this address holds a password, a token or a query: leave it "
    "out, and set credentials in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; download what "
    "lies behind a signed link"
)
# As far as a form can check it, before the server keeps it: what `masking` knows, as Python and a browser read alike.
# One that refuses shows the pattern, so this begins with a sentence, which matches nothing that anybody types.
_EQUAL = r"(?:=|%(?:25)*3[Dd])"
_EQUALS = rf"\s*{_EQUAL}"
_WEB = r"(?:[Hh][Tt]{2}[Pp][Ss]?|[Ww][Ss]{1,2}|[Ff][Tt][Pp][Ss]?)\s*:[/\\]{1,2}"
_HOST = r"(?:(?:[\w-]+\.)+[A-Za-z]{2,24}|localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
_NAMES = (
    r"(?:[Ss]ignature|[Cc]redentials?|[Tt]oken|[Ss]ecret|[Pp]assword|[Pp]asswd|[Pp]assphrase|[Kk]ey|KEY|[Ss]ig|SIG"
    r"|[Ss]as|SAS|[Pp]wd|[Jj]wt|[Jj]sessionid|[Aa]uth|[Ss]id)"
)
_PARTS = (
    r"(?:(?:[Aa]pi|[Aa]ccess|[Aa]uth|[Ss]ecret|[Ss]hared|[Pp]rivate|[Ss]igned)?[-_]?"
    r"(?:[Tt]oken|[Kk]ey|[Ss]ecret|[Pp]assword|[Pp]asswd|[Pp]wd|[Ss]ignature|[Ss]ig|[Ss]as|[Jj]wt|[Cc]redential)s?"
    r"|[Aa]uth|[Oo]auth2?|[Bb]earer|(?:[Pp]re)?[Ss]igned)"
)
_SECRET_HOSTS = "(?:" + "|".join(host.replace(".", r"\.") for host in SECRET_HOSTS) + ")"
_INNER_HOST = r"(?:hooks?\.(?:[\w-]+\.)+(?:com|net|io|org|dev|app)|maker\.ifttt\.com|webhook\.site|hc-ping\.com)"
_WEBHOOKS = (
    r"(?:(?:[Ww]eb)?[Hh]ooks?(?:-test|-waiting)?|[Ww]ebhookb\d|[Ii]ncoming[Ww]ebhook|[Tt]rigger"
    r"|services/T[A-Z0-9]{2,30}/B[A-Z0-9]{2,30}|bot\d+(?::|%3A)[^/]+)"
)
_WEBHOOK_HOSTS = "(?:" + "|".join(host.replace(".", r"\.") for host in WEBHOOK_HOSTS) + ")"
ADDRESS = (
    r"^No password, token or query in an address: set credentials in the environment$"
    r"|^(?!\s)(?![\s\S]*[\r\n])(?!.*::[A-Za-z])"  # a chain holds addresses in which nothing is looked for
    r"(?!(?!abfss?:|wasbs?:)[A-Za-z][\w+.-]*\s*://[^/?#]*(?:@|%(?:25)*40))"
    rf"(?!{_WEB}[^/?#]*(?:@|%(?:25)*40))"
    rf"(?!{_WEB}[^?#]*[?#].)(?!{_WEB}.*(?:%(?:25)*3[Ff]|[;/]{_NAMES}{_EQUALS}))(?!.*;[\w-]*{_NAMES}{_EQUALS})"
    rf"(?!(?:{_WEB}|//)?(?:www\.)?{_SECRET_HOSTS}[^/]*/.)(?!.*/{_INNER_HOST}/.)"
    rf"(?!{_WEB}[^?#]*/{_WEBHOOKS}/.)(?!{_WEB}.*/bot\d+(?::|%3A).)"
    rf"(?!{_WEB}[^?#]*/{_PARTS}/(?=[^/]*\d)(?=[^/]*[A-Za-z])[^/]{{8,}})"
    rf"(?!(?:[\w.-]+\.)?{_WEBHOOK_HOSTS}/(?:.*/)?(?:{_WEBHOOKS}/.|bot\d+(?::|%3A).))"
    rf"(?![A-Za-z][\w+.-]+://[^?#]*[?#][^/=]*{_EQUAL})(?!.*[?#&][\w.-]*{_NAMES}{_EQUALS})"
    # without a scheme: a name with a password, the query of a host; and what is contents
    r"(?!(?://)?[^/\\?#@\s:]+:[^/\\?#@\s]+(?:@|%40))"
    rf"(?!(?://)?{_HOST}/[^?#]*\?(?:[^/=]*{_EQUAL}|[\w-]{{12,}}))"
    r"(?![Dd][Aa][Tt][Aa]:[^,]*,)"
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
