"""Addresses and texts without the secrets in them: the one seam before whatever people, logs, tables and storage get.

An address may carry a user and password, a signature, a token, all of which sign in whoever has them. What is known to
be harmless is let through, and nothing else: of a web address scheme, host and path stay, and `***@`, `?...` and `#...`
stand where something was. Some paths are secrets as well, those of webhooks. In texts, pairs such as `token=...` and
tokens that are known by their look (credentials.py) are replaced by ***.

What is masked once is not changed by masking it again. Standard library only, so that each of the four packages may
import this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from manifests.credentials import HINTS, KEYS, NAMED, PRIVATE_KEY
from manifests.secret_paths import INNER, INNER_HOST, NAMED_PART, SECRET_HOSTS, WEBHOOK, WEBHOOK_HOSTS

__all__ = ["address_without_secrets", "content_mark", "has_secret", "keep_secret", "reference",
           "values_without_secrets", "without_secrets"]  # fmt: skip

_WEB = {"http", "https", "ws", "wss", "ftp", "ftps"}
_PATHS = {"file", "local", "memory"}  # what follows is a path, in which any sign may stand
_CONTAINERS = {"abfs", "abfss", "wasb", "wasbs"}  # container@account
# The quantifier is bounded: a text of 100 kB of letters must not be looked at from each letter to its end.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}"
# An address as people write it: a blank before it or before its colon, a slash that is missing, slashes of Windows.
_HEAD = re.compile(rf"\s*(?:(?P<scheme>{_SCHEME})\s*:[/\\]{{1,2}}|:?//)")
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
_CHAIN = re.compile(rf"::(?={_SCHEME}:/)")
_AT = re.compile(r"@|%(?:25)*40")
_ENCODED_QUERY = re.compile(r"%(?:25)*3F", re.IGNORECASE)
_EQUALS = re.compile(r"=|%(?:25)*3D", re.IGNORECASE)
# What people type around the signs of a query, on one line.
_BLANKS = r"[^\S\r\n]{0,8}"
_NAMED = re.compile(rf"(?:[\w.~%\[\]-]*&)*[\w.~%\[\]-]+{_BLANKS}(?:=|%(?:25)*3D)", re.IGNORECASE)
_MARK = re.compile(r"#sha256=[0-9a-f]{16}\Z")
_HOST = (
    r"(?:(?:[A-Za-z0-9-]{1,63}\.){1,9}[A-Za-z]{2,24}|localhost"
    r"|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?"
)
_BARE = rf"(?://)?{_HOST}/"
_BARE_START = re.compile(rf"\s*(?://)?(?P<host>{_HOST})(?=/)")
# A query, not the sign for one letter in a name: `part-?.parquet`.
_QUERY = re.compile(
    rf"\?(?:(?:[\w.~%\[\]-]*&)*[\w.~%\[\]-]*[\w%\]]{_BLANKS}(?:=|%(?:25)*3D)|[\w-]{{12,}})", re.IGNORECASE
)
# An address in the words of a prompt, where a backslash stands before each colon.
_ESCAPED = re.compile(rf"{_SCHEME}\\://\S+")
# `data:image/png;base64,...` holds what it is an address of.
_DATA = re.compile(r"\s*(data:(?:[a-z]{1,20}/[\w.+-]{1,80})?(?:;[\w=.+-]{1,80}){0,9},)\S", re.IGNORECASE)

# Names that end so hold secrets, whatever stands before (X-Amz-Signature); and those that are the whole name, or the
# whole of its last word: `monkey=3` and the folder `key=3/` are none.
_NAMES = (
    r"(?:signature|credentials?|token|secret|password|passwd|passphrase"
    r"|(?:api|access|secret|account|shared|private|master|subscription|signing)[-_]?key(?:id)?"
    r"|(?<![A-Za-z0-9])(?:sig|sas|pwd|jwt|jsessionid)|(?<![A-Za-z0-9/])(?:key|auth|sid))"
)
_PAIR = re.compile(rf"({_NAMES}{_BLANKS}(?:=|%(?:25)*3D))[^&/;]+", re.IGNORECASE)
# A name and a password before a host, without any scheme; no time of a day, no mail and no digest of an image.
_LOGIN = (
    r"(?<![\w.+%~-])(?!mailto:)(?=[\w.+%~-]{0,63}[A-Za-z_])[\w.+%~-]{1,64}:(?![/\\])[^\s/\\'\"<>]{1,128}"
    r"(?:@|%(?:25)*40)(?=[A-Za-z\[]|\d+\.)(?!sha\d)"
)
_SIGNING_IN = r"(?:bearer|basic|token|digest|negotiate|ntlm|api-?key|oauth|hawk|ssws|splunk|aws4-hmac-sha256)"
_AT_START = re.compile(rf"\s*{_LOGIN}", re.IGNORECASE)
# One that a path went through, which makes one slash of two.
_COLLAPSED = r"(?<![\w.+%-])(?:https?|wss?|s?ftps?|s3a?|gc?s|az|abfss?|wasbs?|hf|github|postgresql):/(?=[^\s/])"
# A value that pydantic quotes, and without its middle, so that nothing shows what it was.
_CUT_VALUE = r"input_value=)(?=[^\n]{0,100}?\.\.\.)[^\n]{1,400}?(?=,\ input_type=|\n|\Z)"
_TEXT = re.compile(
    rf"""
    (?P<address>://)\S
    | (?P<data>(?<![\w.-])data:(?:[a-z]{{1,20}}/[\w.+-]{{1,80}})?(?:;[\w=.+-]{{1,80}}){{0,9}},)[^\s"'<>]+
    | (?P<bare>(?<![\w./%-]){_BARE}(?=\S))
    | (?P<inner>(?<=/){INNER_HOST}/)[^\s"'<>]+
    | (?P<encoded>%(?:25)*3A%(?:25)*2F%(?:25)*2F)[^\s"'<>&]+
    | (?P<header>authorization['"]?\s{{0,2}}[:=]\s{{0,2}}['"]?(?:{_SIGNING_IN}\s+)?)[^\s'",]+
    | (?P<collapsed>{_COLLAPSED})
    | (?P<cut>{_CUT_VALUE}
    | (?P<login>{_LOGIN})
    | (?P<bearer>bearer\s+)[A-Za-z0-9+/._~-]{{16,}}=*
    | (?P<item>['"][\w-]{{0,40}}(?:{_NAMES}|cookie)['"]\s{{0,2}}:\s{{0,2}}b?)(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    | (?P<pair>{_NAMES}['"]?\s{{0,8}}(?:=|%(?:25)*3D)\s{{0,8}})(?:'[^'\n]+'|"[^"\n]+"|[^\s&'"]+)
    | (?P<tag><(?:\w{{0,40}}(?:signature|token|accesskey(?:id)?|provided|password|passwd|secret))>)[^<\n]+
    | {NAMED}
    | (?P<known>{PRIVATE_KEY}|{KEYS})
    """,
    re.IGNORECASE | re.VERBOSE,
)
_HINTS = (":/", "=", "%", "authorization", "bearer", '":', "':", "signature>", "accesskey", "provided>",
          "@", "?", "data:", "/webhook", "/bot", *SECRET_HOSTS, *HINTS)  # fmt: skip
_ENDS_IN_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_ENDS_IN_ENCODED_SCHEME = re.compile(r"(?:%(?:25){0,3}(?:[46][1-9A-F]|[57][0-9A]|3\d)){1,16}\Z", re.IGNORECASE)
_ENCODED_ADDRESS = re.compile(r"%(?:25)*3A%(?:25)*2F%(?:25)*2F", re.IGNORECASE)
_CLOSING = {
    "'": re.compile(r"'[.,;:)\]}]{0,8}(?:\s|\Z)|\n"),
    '"': re.compile(r'\\*"(?:[\s.,;:)\]}>\\]|\Z)|\n'),
    "<": re.compile(r">(?:[\s.,;:)\]}]|\Z)|\n"),
}
_LONGEST = 4200  # characters of an address in quotes
_NO_BLANK = re.compile(r"\S*")
_NO_ADDRESS = re.compile(r'["<>\\`]')
# What belongs to an address that has blanks: the rest of a password, words up to a query, and a query with blanks
# around its signs. A blank right after the `?` ends a question.
_PASSWORD_GOES_ON = re.compile(r"[^\n@]{1,200}@\S*")
_SIGN = r"(?:[?#&;]|%(?:25)*(?:3F|23|26|3B))"
_NAME = r"(?:(?!%(?:25)*(?:3F|23|26|3B|3D))[^\s=?#&;\"<>\\`]){1,400}"
_VALUE = (
    rf"{_BLANKS}(?:=|%(?:25)*3D)(?:{_BLANKS}=)*{_BLANKS}"
    r"""(?:'[^'\n]{1,400}'|"[^"\n]{1,400}"|[^\s&;%]|%(?!(?:25)*26))+"""
)
_SPACED_QUERY = re.compile(
    rf"{_SIGN}(?:{_NAME}(?:{_VALUE})?)?"
    rf"(?:{_SIGN}{_NAME}(?:{_VALUE})?|{_BLANKS}(?:&|%(?:25)*26){_BLANKS}{_NAME}{_VALUE})*",
    re.IGNORECASE,
)
_QUERY_FOLLOWS = re.compile(rf"(?:[ \t]{{1,4}}[^\s?:]{{0,200}}){{1,3}}(?=\?(?:[^\s=]{{0,100}}=|{_NAME}{_BLANKS}=))")
_QUERY_BEGINS = re.compile(r"[?#;]|%(?:25)*(?:3F|23|3B)", re.IGNORECASE)
_QUERY_INSIDE = re.compile(r"\?[^?]*(?:=|%(?:25)*3D)", re.IGNORECASE)
_REMEMBERED_LENGTH = 1_000
_TRAILING = "'\")]}>,.;:!"


# Addresses that are secrets as a whole, although nothing shows it, with what is shown of each.
_kept: dict[str, str] = {}


def keep_secret(address: str) -> None:
    """Have everything after the host of `address` masked from now on, wherever this process shows it: a webhook's path
    may be its secret, and its host any (a server of ntfy)."""
    origin = re.match(r"(https?://)(?:[^/?#]*@)?([^/?#]*)(.*)", address, re.DOTALL)
    if origin and len(origin[3].strip("/")) > 3:
        shown = f"{origin[2]}/..."
        secret = origin[2] + origin[3].rstrip("/")
        _kept.update({secret: shown, quote(secret, safe=""): shown})


def without_secrets(text: str) -> str:
    """Return a sentence, a log's line or a foreign error's message without the secrets in it."""
    text = _without_kept(text)
    # the sentence on one bad row is often that on the next, and is masked on its way to each sink
    return _remembered(text) if len(text) <= _REMEMBERED_LENGTH else _masked_text(text)


@lru_cache(maxsize=1024)
def _remembered(text: str) -> str:
    return _masked_text(text)


def _masked_text(text: str) -> str:
    low = text.lower()
    if not any(hint in low for hint in _HINTS):
        return text
    if r"\://" in text:
        text = _ESCAPED.sub(lambda it: _settled(it[0].replace(r"\:", ":")).replace(":", r"\:"), text)
    return _settled(text)


def _settled(text: str) -> str:
    for _ in range(3):  # what one mask leaves may look like another secret
        masked = _once(text)
        if masked == text:
            break
        text = masked
    return text


def _without_kept(text: str) -> str:
    for secret, shown in _kept.items():
        text = text.replace(secret, shown)
    return text


def _once(text: str) -> str:
    parts, position = [], 0
    while match := _TEXT.search(text, position):
        start, end, masked = _masked(match, position)
        parts += [text[position:start], masked]
        position = end
    return "".join([*parts, text[position:]])


def address_without_secrets(address: str) -> str:
    """Return a path or URI, the whole of it, without secrets: what `without_secrets` can't see of one that has blanks
    in it is left out as well."""
    address = _without_kept(address)
    return "::".join(map(_address, _CHAIN.split(address)))


def has_secret(address: str) -> bool:
    """Return whether a path or URI holds what must not be shown."""
    return address_without_secrets(address) != address


def reference(address: str, sha256: str) -> str:
    """Return what documents keep of the address of something with the digest `sha256`: the address itself, or, where it
    holds a secret, what is left of it and the digest, since several may be left with the same."""
    shown = address_without_secrets(address)
    return address if shown == address else f"{_MARK.sub('', shown).removesuffix('#...')}#sha256={sha256[:16]}"


def content_mark(address: str) -> bool:
    """Return whether `address` is a `reference`, from which nothing can be read."""
    return _MARK.search(address) is not None


def values_without_secrets(value: Any) -> Any:
    """Return plain values (lists and mappings of texts and numbers) with `without_secrets` of every text."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {key: values_without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [values_without_secrets(item) for item in value]
    return value


def _masked(match: re.Match[str], after: int) -> tuple[int, int, str]:
    """Where a secret begins (not before `after`) and ends that was found in a text, and what is to stand there."""
    kind, found, text = match.lastgroup, match[0], match.string
    if kind in ("address", "encoded"):
        scheme = _ENDS_IN_SCHEME.search(text, max(after, match.start() - 31), match.start())
        if kind == "encoded":  # perhaps every letter is
            at = max(after, match.start() - 144)
            scheme = _ENDS_IN_ENCODED_SCHEME.search(text, at, match.start()) or scheme
        if scheme is None:
            return match.start(), match.start() + 1, found[0]
        start = scheme.start()
        if kind == "encoded":
            end = _end_of_query(text, match.start(), match.end())
            return start, end, address_without_secrets(_decoded(text[start:end]))
        end = _end_of_address(text, start, match.start() + 3)
        return start, end, address_without_secrets(text[start:end])
    if kind == "bare":
        end = _end_of_address(text, match.start(), match.end())
        if shown := _bare(text[match.start() : end]):
            return match.start(), end, shown
        return match.start(), match.end(), found  # a path, in which other secrets may stand
    if kind == "collapsed":
        end = _end_of_address(text, match.start(), match.end())
        return match.start(), end, address_without_secrets(text[match.start() : end])
    if kind == "data":
        return match.start(), match.end(), f"{match['data']}..."
    if kind == "login":
        return match.start(), match.end(), "***@"
    masked = f"{match['item']}{found[-1]}***{found[-1]}" if kind == "item" else ""
    return match.start(), match.end(), masked or f"{match[kind] if kind and kind != 'known' else ''}***"


def _end_of_address(text: str, start: int, after: int) -> int:
    """Where an address ends that begins at `start`: at the quote that it stands in; or before a blank, or a quote or
    bracket that no address holds, unless that may be part of a password, and without what ends the sentence."""
    closing = _CLOSING.get(text[start - 1 : start])
    if closing and (quote := closing.search(text, after, after + _LONGEST)):
        return quote.start()
    whole = _NO_BLANK.match(text, after)
    stop = whole.end() if whole else after
    quote = _NO_ADDRESS.search(text, after, stop)
    if quote and not _odd(_authority(text[after : quote.start()])):
        closed = text[start - 1 : start] in ('"', "`", "<")
        far = min(stop, quote.start() + _LONGEST)  # to the end, from each of many quotes, would take minutes
        stop = quote.start() if closed or not _QUERY_INSIDE.search(text, quote.start(), far) else stop
    if _odd(_authority(text[after:stop])) and not _AT.search(text, after, stop):
        stop = more.end() if (more := _PASSWORD_GOES_ON.match(text, stop)) else stop
    elif whole is None or stop == whole.end():
        stop = _end_of_query(text, after, stop)
    return max(after, start + len(text[start:stop].rstrip(_TRAILING)))


def _end_of_query(text: str, after: int, stop: int) -> int:
    """Where the query of an address ends that has no blank from `after` to `stop`, but may have some that follow: words
    up to its `?`, and blanks around its signs."""
    if more := _QUERY_FOLLOWS.match(text, stop):
        after = more.end()
        stop = rest.end() if (rest := _NO_BLANK.match(text, after)) else after
    begins = _QUERY_BEGINS.search(text, after, stop)
    query = _SPACED_QUERY.match(text, begins.start()) if begins else None
    return max(stop, query.end()) if query else stop


def _decoded(text: str) -> str:
    for _ in range(3):
        text = unquote(text, errors="replace")
    return text


def _address(address: str) -> str:
    found = _HEAD.match(address)
    scheme = (found["scheme"] or "").lower() if found else ""
    web = scheme in _WEB
    if not found or not (web or (scheme not in _PATHS and found[0].endswith("://") and len(scheme) > 1)):
        return _like_a_path(address, found[0] if found else "", scheme)
    rest = address[found.end() :]
    user, rest = _without_user(rest, web=web, containers=scheme in _CONTAINERS)
    place, tail = _split(rest, "?#")
    query, fragment = _split(tail, "#")
    if web and (hidden := _ENCODED_QUERY.search(place)) and _EQUALS.search(place, hidden.end()):
        place, query = place[: hidden.start()], "?..."
    if web:
        place = _path(place)
        query = "?..." if len(query) > 1 else query
        fragment = "#..." if len(fragment) > 1 and not _MARK.fullmatch(fragment) else fragment
    else:
        query = "?..." if _NAMED.match(query[1:]) else query
        fragment = "#..." if _NAMED.match(fragment[1:]) and not _MARK.fullmatch(fragment) else fragment
    return found[0] + user + place + query + fragment


def _like_a_path(address: str, head: str, scheme: str) -> str:
    """Mask what nobody writes in a path: a name with a password in front, and pairs of secrets after `?` and `#`; and
    in what is no path: a web address without its scheme, and the contents of `data:`."""
    if data := _DATA.match(address):
        return f"{data[1]}..."
    if (head == "" or head.strip() == "//") and (masked := _bare(address)) is not None:
        return masked
    rest, user = address[len(head) :], ""
    if head and len(scheme) != 1 and not _DRIVE.match(rest):
        user, rest = _without_user(rest, web=False, containers=True)
    elif not head:
        rest = _AT_START.sub("***@", rest, count=1) if _AT_START.match(rest) else rest
        rest = without_secrets(rest) if "://" in rest or _ENCODED_ADDRESS.search(rest) else rest
    place, tail = _split(rest, "?#")
    query, fragment = _split(tail, "#")
    query = "?..." if _PAIR.search(query) else query
    fragment = "#..." if _PAIR.search(fragment) and not _MARK.fullmatch(fragment) else fragment
    return head + user + _inner(place) + query + fragment


def _bare(address: str) -> str | None:
    """Mask a web address that has no scheme, `host.example/a?sig=...`; None if it is none, or has no secret."""
    found = _BARE_START.match(address)
    if found is None:
        return None
    place, tail = _split(address[found.start("host") :], "?#")
    masked = _path(place) if _has_secret_path(found["host"]) else place
    if masked == place and not _QUERY.match(tail):
        return None
    tail = f"{tail[0]}..." if len(tail) > 1 and not _MARK.fullmatch(tail) else tail
    return address[: found.start("host")].lstrip() + masked + tail


def _has_secret_path(host: str) -> bool:
    name = host.lower().partition(":")[0].removeprefix("www.")
    return name.startswith(SECRET_HOSTS) or name.endswith(WEBHOOK_HOSTS)


def _without_user(rest: str, *, web: bool, containers: bool) -> tuple[str, str]:
    """Split what follows the scheme into the mark of a user and password, '' without one, and what follows them."""
    authority = _authority(rest)
    ends = [found.end() for found in _AT.finditer(authority)]
    if ends:
        named, after = re.search(r":|%3A", authority[: ends[-1]], re.IGNORECASE), rest[ends[-1] :]
        if containers and not named:
            return "", rest
        # `u:p@x/y@h`: a picture `y@h` of the host x, or the password `p@x/y` of the host h
        if named and _AT.search(_split(after, "?#")[0] if web else after):
            return "***@...", ""
        return "***@", after
    if ":" not in authority or authority.startswith(("[", "arn:")):
        return "", rest
    # a password may hold the very signs that end an authority: nobody knows then where the host is
    odd = _odd(authority)
    if (odd or web) and _AT.search(rest if odd else _split(rest, "?#")[0]):
        return "***@...", ""
    if odd and web:  # the head of an address that was cut
        return "", authority.partition(":")[0] + ":***" + rest[len(authority) :]
    return "", rest


def _authority(rest: str) -> str:
    return _split(rest, "/?#")[0]


def _odd(authority: str) -> bool:
    """Whether what stands after the colon is no port."""
    host, colon, port = authority.rpartition(":")
    return bool(colon) and not host.startswith("[") and not (port.isdecimal() and port.isascii()) and port != "***"


def _path(place: str) -> str:
    """Mask what is secret in `host/path` of a web address."""
    host, path = _split(place, "/")
    if host.lower().removeprefix("www.").startswith(SECRET_HOSTS) and len(path) > 1:
        return f"{host}/..."
    path = WEBHOOK.sub(lambda found: f"{found[1] or found[2]}/...", path)
    return _PAIR.sub(r"\1***", host) + _inner(_PAIR.sub(r"\1***", NAMED_PART.sub(r"\1***", path)))


def _inner(path: str) -> str:
    return INNER.sub(r"\1...", path)


def _split(text: str, signs: str) -> tuple[str, str]:
    """`text` before the first of `signs`, and from there on."""
    at = min((place for sign in signs if (place := text.find(sign)) >= 0), default=len(text))
    return text[:at], text[at:]
