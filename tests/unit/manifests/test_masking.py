"""Secrets of every shape: they are in no text, what is harmless stays, and masking twice is as good as once."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from manifests.errors import NightreelError
from manifests.masking import (
    _HINTS,
    address_without_secrets,
    content_mark,
    has_secret,
    keep_secret,
    reference,
    without_secrets,
)
from manifests.results import RowProblem
from manifests.schema import ManifestRow, Scene, format_prompts, parse_prompts, shown_prompts
from manifests.schema.texts import short

SECRET = "Pl4ntedS3cret"
PASSWORDS = st.text(string.ascii_letters + string.digits + "@:/?#%&=+$,;!'()*~^_-.[]{}|\"<>\\", min_size=1, max_size=12)

ADDRESSES = {
    "password": f"https://user:{SECRET}@host.example/a.png",
    "password with @": f"https://user:p@{SECRET}@host.example/a.png",
    "password with the signs that end a host": f"https://user:a/{SECRET}?b#c@host.example/a.png",
    "password with @ and what ends a host": f"https://user:a@/{SECRET}@host.example/a.png",
    "password that looks like a host": f"https://user:a@b.example/{SECRET}@host.example/a.png",
    "password of s3 with @ and ?": f"s3://user:a@b?{SECRET}@bucket/a.png",
    "token as user": f"https://{SECRET}@host.example/a.png",
    "encoded user": f"https://user%3A{SECRET}%40host.example/a.png",
    "signature": f"https://host.example/a.png?sig={SECRET}",
    "a name that nobody knows": f"https://host.example/a.png?x={SECRET}",
    "no name": f"https://host.example/a.png?{SECRET}",
    "azure": f"https://acct.blob.core.windows.net/c/a.png?sv=2024-11-04&sr=b&se=2026&sp=r&sig={SECRET}%3D",
    "aws": "https://b.s3.amazonaws.com/a.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F"
    f"20261128%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Security-Token={SECRET}&X-Amz-Signature={SECRET}",
    "google": f"https://storage.googleapis.com/b/a.png?X-Goog-Credential=a%40b.iam&X-Goog-Signature={SECRET}",
    "several": f"https://host.example/a.png?width=512&access_token={SECRET}&api_key={SECRET}&key={SECRET}",
    "fragment": f"https://host.example/a.png#access_token={SECRET}",
    "bare fragment": f"https://host.example/a.png#{SECRET}",
    "encoded query": f"https://host.example/a.png%3Fsig%3D{SECRET}",
    "in the path": f"https://host.example/token={SECRET}/a.png",
    "part of the path": f"https://host.example/get/token/{SECRET}/a.png",
    "last part of the path": f"https://host.example/api_key/{SECRET}",
    "a short name in the path": f"https://host.example/sig={SECRET}/a.png",
    "part of the path after auth": f"https://host.example/auth/{SECRET}/a.png",
    "part of the path after signed": f"https://host.example/v1/signed/{SECRET}",
    "part of the path after jwt": f"https://host.example/jwt/{SECRET}/a.png",
    "path parameter": f"https://host.example/a.png;jsessionid={SECRET}",
    "s3 user": f"s3://AKIAIOSFODNN7EXAMPLE:{SECRET}@bucket/a.png",
    "s3 query": f"s3://bucket/a.png?X-Amz-Signature={SECRET}",
    "database": f"postgresql+asyncpg://prefect:{SECRET}@db.example/prefect",
    "chain": f"simplecache::https://user:{SECRET}@host.example/a.zip?sig={SECRET}",
    "chain inside": f"zip://a.csv::https://host.example/a.zip?sig={SECRET}",
    "slack": f"https://hooks.slack.com/services/T000/B000/{SECRET}",
    "slack's path elsewhere": f"http://127.0.0.1:8065/services/T0A1/B0C2/{SECRET}",
    "settings of Azure in a host": f"https://a.blob.example;SharedAccessSignature=sig={SECRET}",
    "slack's host in a path": f"https://host.example/see/hooks.slack.com/services/T0/B0/{SECRET}",
    "discord": f"https://discord.com/api/webhooks/1234/{SECRET}",
    "teams": f"https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/{SECRET}/c",
    "mattermost": f"https://chat.example/hooks/{SECRET}",
    "discord, a version": f"https://ptb.discord.com/api/v10/webhooks/12/{SECRET}/messages",
    "teams, old": f"https://outlook.office.com/webhook/a@b/IncomingWebhook/{SECRET}/c",
    "ntfy": f"https://ntfy.sh/{SECRET}",
    "ntfy of one's own": f"https://ntfy.studio.example:8443/night-{SECRET}",
    "make": f"https://hook.eu1.make.com/{SECRET}",
    "n8n": f"https://n8n.example/webhook-test/{SECRET}",
    "healthchecks": f"https://hc-ping.com/{SECRET}/fail",
    "telegram": f"https://api.telegram.org/bot123:{SECRET}/sendMessage",
    "ftp": f"ftp://user:{SECRET}@host.example/a.png",
    "upper case": f"HTTPS://USER:{SECRET}@HOST.example/a.png?SIG={SECRET}",
}
SENTENCES = (
    "{}",
    "cannot reach '{}': Cannot connect to host",
    "init_image '{}' of video 'a' can't be read: 403, message='Forbidden', url='{}'",
    "see {}.",
    "({}, and [{}])",
    '"{}"',
    "<{}>",
    "GET {} HTTP/1.1",
    "ClientResponseError(URL('{}'))",
)
WITHOUT_SCHEME = (
    f"//user:{SECRET}@host.example/a.png", f"user:{SECRET}@host.example/a", f"user:{SECRET}@hooks.slack.com/services/T",
    f"host.example/a.png?sig={SECRET}", f"host.example/a.png?x={SECRET}", f"host.example/a?{SECRET}",
    f"//host.example/a?x={SECRET}#b", f"localhost:8000/a.png?x={SECRET}", f"127.0.0.1:80/a.png?x={SECRET}",
    f"www.host.example/a/b.png?sv=1&x={SECRET}", f"hooks.slack.com/services/T000/B000/{SECRET}",
    f"/data/night/hooks.slack.com/services/T000/B000/{SECRET}", f"file:///data/hook.eu1.make.com/{SECRET}",
    f"BlobEndpoint=https://a.blob.example;SharedAccessSignature=sig={SECRET}",
    f"//hooks.slack.com/services/T000/B000/{SECRET}", f"hooks.slack.com/services/T/B/{SECRET}#x={SECRET}",
    f"discord.com/api/webhooks/1234/{SECRET}", f"x.webhook.office.com/webhookb2/a@b/IncomingWebhook/{SECRET}/c",
    f"ntfy.sh/{SECRET}", f"api.telegram.org/bot123:{SECRET}/sendMessage", f"data:image/png;base64,{SECRET}",
    f"data:text/plain;charset=utf-8;base64,{SECRET}", f"data:,{SECRET}", f"DATA:text/html,{SECRET}",
)  # fmt: skip
HARMLESS = (
    "https://host.example/a.png",
    "http://127.0.0.1:8000/logo.png",
    "https://host.example/key/visual/token/a-photograph-of-a-reef.png",
    "https://host.example/logo@2x.png",
    "http://[::1]:8080/a.png",
    "s3://bucket/night/model=sketch/key=3/part-?.parquet",
    "s3://bucket/logo@2x.png",
    "gs://bucket/a#1.png",
    "abfs://container@account.dfs.core.windows.net/a.png",
    "/data/key=3/what?.png",
    "file:///data/a?b=c.png",
    "memory://out",
    "C:\\night\\logo@2x.png",
    "file://C:/night/logo@2x.png",
    "night/16:9@2x/logo.png",
    "//server/share/logo@2x.png",
    '{"a":"https://h.example/a.png","b":"what?x=1"}',
    "write to mailto:me@h.example, at 12:30:05@night, image nightreel:1.0@sha256:ab",
    "night/key=3/part-0.parquet is missing",
    "--set cutouts.number=16, monkey=3, tokens=16, keyframe_every=8",
    "a clock at 12:00 :0.5 | the password of a king:-0.3",
    "a clock at 12:00, me@home, is this host.example/mail? No",
    "host.example/a.png",
    "nights.old/part-?.parquet",
    "project.git/hooks/pre-commit",
    "/etc/hooks.d/10-start.sh",
    "https://host.example/services/trees/birds/7.png",
    "https://host.example/auth/a-picture-of-me.png",
    "night/sig/key=3/auth=2/part-0.parquet",
    "night.example/webhooks/a.png",
    "data: a, b | metadata:0.5, noise",
    "ntfy, hooks. and webhooks",
    "the session's token is not valid (any more): 's3://bucket/x'",
)


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_no_shape_of_a_secret_is_left_in_an_address_or_a_sentence(address: str, sentence: str) -> None:
    assert has_secret(address)
    assert SECRET not in address_without_secrets(address)
    text = sentence.replace("{}", address)
    masked = without_secrets(text)
    assert SECRET not in masked
    assert without_secrets(masked) == masked
    assert SECRET not in without_secrets(repr({"address": address}))
    assert SECRET not in without_secrets(json.dumps({"address": address, "n": 1}, separators=(",", ":")))
    assert SECRET not in without_secrets(f"back to {quote(address, safe='')}")
    assert SECRET not in without_secrets(f"back to {quote(quote(address, safe=''), safe='')} now")


@pytest.mark.parametrize(
    "address",
    [f"{head}u:{SECRET}@h.example/x" for head in (
        "file://", "local://", "memory://", "//", "http:/", "http:\\\\", "", "http ://", " http://", "http:", "\t//"
    )] + [f"{path}?sig={SECRET}" for path in ("x.png", " x.png", "/data/x.png", "C:\\x.png", "file:///data/x.png")],
)  # fmt: skip
def test_what_is_written_almost_like_an_address_shows_no_secret(address: str) -> None:
    for mask in (address_without_secrets, without_secrets):
        masked = mask(address)
        assert SECRET not in masked
        assert mask(masked) == masked
    for sentence in ("cannot reach {} now", "init_image '{}' can't be read", '"{}"', "x: {}"):
        assert SECRET not in without_secrets(sentence.format(address))


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_was_taken_for_a_path_shows_no_secret(address: str) -> None:
    """A path makes one slash of two: `https:/host.example/a.png`."""
    path = str(PurePosixPath(address))
    assert SECRET not in address_without_secrets(path)
    for sentence in SENTENCES:
        masked = without_secrets(sentence.replace("{}", path))
        assert SECRET not in masked
        assert without_secrets(masked) == masked


class _Number(BaseModel):
    size: int


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize("held", [lambda it: it, lambda it: {"urls": ["x" * 20, it]}, lambda it: {"size": [it]}])
@pytest.mark.parametrize("wanted", [int, _Number])
def test_what_pydantic_quotes_of_a_value_that_it_refuses_shows_no_secret(
    address: str, held: Callable[[str], object], wanted: type
) -> None:
    """It cuts the middle out of what has more than fifty characters, and what is left looks like no address."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(wanted).validate_python(held(address))
    masked = without_secrets(str(caught.value))
    assert SECRET[-6:] not in masked
    assert "validation error" in masked
    assert without_secrets(masked) == masked


@pytest.mark.parametrize(
    "address",
    [f"http://u:p {SECRET}@h/x"] + [f"https://h/a{sign}b?x={SECRET}" for sign in "`>\\\"< '"]
    + [f"https://h/a ?x={SECRET}", f"https://h/a b c?x={SECRET}"],
)  # fmt: skip
def test_an_address_with_signs_that_no_address_holds_shows_no_secret(address: str) -> None:
    for sentence in ("{}", "cannot reach {} now", "init_image '{}' can't be read: {}", '"{}": no'):
        assert SECRET not in without_secrets(sentence.replace("{}", address))


SPACED = [
    query.replace("V", SECRET)
    for query in (
        "?sig =V", "?sig\t=V", "?sig = V", "?sig= V", "?sig\t=\tV", "?x =V", "?x= V", "?x  =  V", "?sig = V&token = V2",
        "?x = V&y = V2", "?x = V & y = V2", "?x=V &y=V2", "?a=1&x = V", "?a=1& x=V", "?a&x =V", "?x = 'V'",
        '?x = "a V"', "?x %3DV", "?x%3D V", "?x %3d V %26y %3D V2", "?x%20= V", "%3Fx = V", "%3Fsig %3D V",
        "%253Fx %253D V",
        "?x[0] = V", "#x =V", "#access_token = V", ";jsessionid = V", "?a=1;x = V", "?x\u00a0=\u00a0V",
        "?x =V&y =V2&z =V3", "?x = =V", "?" + "&".join(f"x{number} = V{number}" for number in range(30)),
    )
]  # fmt: skip


@pytest.mark.parametrize("query", SPACED)
@pytest.mark.parametrize("start", ["http://h/x", "https://host.example:8443/a.png", "s3://bucket/x", "host.example/x"])
def test_blanks_around_the_signs_of_a_query_show_no_secret(start: str, query: str) -> None:
    if query[0] != "?" and not start.startswith("http"):
        return  # a name like any other
    address = start + query
    assert SECRET not in address_without_secrets(address)
    for sentence in (*SENTENCES, "see {}, please", "a reef, see {} | a boat:0.5", "x: {}\nand more"):
        masked = without_secrets(sentence.replace("{}", address))
        assert SECRET not in masked
        assert without_secrets(masked) == masked
    encodable = "://" in start and '"' not in query
    for encoded in (quote(address, safe="= "), quote(address, safe=" ")) if encodable else ():
        assert SECRET not in without_secrets(f"back to {encoded} now")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("is http://h/x?  y = 3", None),
        ("is it http://h/x? Then y = 3", None),
        ("at http://h/x y = 3 and z = 4", None),
        ("at http://h/x, where x = 3", None),
        ("at http://h/x is x?  y = 3", None),
        ("at http://h/x; y = 3", None),
        ("http://h/x\n= a reef", None),
        ("http://h/x?a\n= a reef", "http://h/x?...\n= a reef"),
        ("http://h/x?a=1 y = 3", "http://h/x?... y = 3"),
        ("http://h/x?a=b= is refused", "http://h/x?... is refused"),
        ("http://h/x?a=1; y = 3", "http://h/x?...; y = 3"),
        ("http://h/x?a=1 & more", "http://h/x?... & more"),
        ("http://h/x?a = 1 of a reef, y = 3", "http://h/x?... of a reef, y = 3"),
        ("host.example/x? y = 3", None),
    ],
)
def test_what_stands_beside_an_address_stays(text: str, masked: str | None) -> None:
    assert without_secrets(text) == (masked or text)


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
def test_what_is_cut_anywhere_shows_no_secret(address: str) -> None:
    """Tables and messages cut long texts: what is left of an address may not look like one."""
    for length in range(8, len(address) + 20):
        assert SECRET not in short(f"at {address} it is", length)


@pytest.mark.parametrize("address", WITHOUT_SCHEME)
def test_an_address_without_its_scheme_shows_no_secret(address: str) -> None:
    assert has_secret(address)
    masked = address_without_secrets(address)
    assert SECRET not in masked
    assert address_without_secrets(masked) == masked
    for sentence in SENTENCES:
        masked = without_secrets(sentence.replace("{}", address))
        assert SECRET not in masked
        assert without_secrets(masked) == masked


@pytest.mark.parametrize("address", ["https://u:Pass@h.example/x", "https://h.example/x?sig=Pass", "s3://k:Pass@b/x"])
def test_an_address_in_the_words_of_a_prompt_shows_no_secret(address: str) -> None:
    ((prompt,),) = [scene.prompts for scene in parse_prompts("a sign says " + address.replace(":", r"\:"))]
    shown = without_secrets(format_prompts([Scene(at=0, prompts=(prompt,))]))
    assert "Pass" not in shown
    assert shown.startswith(r"a sign says " + address.partition(":")[0] + r"\://")
    assert without_secrets(shown) == shown


def test_a_webhook_that_was_set_is_known_wherever_it_is() -> None:
    """Nothing in the address of somebody's own ntfy shows that it is a secret."""
    address = f"https://push.example/studio-{SECRET}"
    assert not has_secret(address)
    keep_secret(address)
    for text in (address, f"POST {address}/ failed", f"at push.example/studio-{SECRET}", quote(address, safe="")):
        assert SECRET not in without_secrets(text)
        assert SECRET not in address_without_secrets(text)
    assert without_secrets("https://push.example/other") == "https://push.example/other"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == text
    assert " " in text or not has_secret(text)


@given(PASSWORDS, PASSWORDS)
def test_any_password_and_any_query_are_left_out(password: str, query: str) -> None:
    password, query = f"q{password}{SECRET}", f"{query}{SECRET}"
    address = f"https://user:{password}@host.example/a.png?x={query}"
    masked = address_without_secrets(address)
    assert SECRET not in masked
    assert address_without_secrets(masked) == masked
    assert SECRET not in without_secrets(f"can't read '{address}': no")


@given(st.text(max_size=300))
def test_any_text_is_masked_once_for_all(text: str) -> None:
    masked = without_secrets(text)
    assert without_secrets(masked) == masked
    assert address_without_secrets(address_without_secrets(text)) == address_without_secrets(text)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"{{'Authorization': 'Basic {SECRET}'}}",
        f"{{'x-api-key': '{SECRET}', 'n': 1}}",
        f'{{"access_token":"{SECRET}"}}',
        f"AWS_SECRET_ACCESS_KEY={SECRET}",
        f"password = '{SECRET} with blanks'",
        f"<Error><SignatureProvided>{SECRET}</SignatureProvided></Error>",
        f"accountkey={SECRET};EndpointSuffix=core.windows.net",
    ],
)
def test_pairs_and_headers_lose_their_values(text: str) -> None:
    masked = without_secrets(text)
    assert SECRET not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "part",
    [
        "a",
        "'a://",
        "a://",
        "token",
        "=/",
        "%3A",
        "https://h/%3F",
        "'",
        "a:",
        "/hooks",
        '"',
        "eyJa",
        "\\",
        "?=@",
        "a:b@",
        " a:",
        "a.b",
        "a.",
        " a.bc/",
        "data:",
        "data:a/b;c",
        "1.",
        "?",
        "@ ",
        " b?",
        "http://u:p ",
        "?a = ",
        "&a =",
        "?a ",
        "= ",
        "http://h/a?b = ",
        "http://h/a?b =c& ",
        "%3Fa %3D ",
        '?http://h/http://h/"',
    ],
)
def test_a_strangers_text_takes_no_time(part: str) -> None:
    text = "http://" + part * (100_000 // len(part)) + "="
    assert without_secrets(text)  # quadratic, each would take minutes: the test's own limit of time
    assert address_without_secrets(text)


def test_documents_keep_a_reference_that_tells_contents_apart() -> None:
    plain = "https://host.example/a.png"
    assert reference(plain, "ab" * 32) == plain
    first, second = (
        reference(f"{plain}?id={number}&sig={SECRET}", digest * 32) for number, digest in ((1, "ab"), (2, "cd"))
    )
    assert first == f"{plain}?...#sha256=abababababababab"
    assert second != first
    assert content_mark(first)
    assert not has_secret(first)
    assert without_secrets(f"picture '{first}' is gone") == f"picture '{first}' is gone"
    assert not content_mark(plain)


def test_rows_errors_and_problems_repeat_no_secret() -> None:
    address = ADDRESSES["password with @"]
    row = ManifestRow.model_validate(
        {"video_id": "a", "init_image": address, "image_prompts": [{"image": address}],
         "prompts": [{"images": [{"image": address}]}]}
    )  # fmt: skip
    assert row.init_image == address
    assert SECRET not in shown_prompts(row.scenes)
    problem = RowProblem(
        f"https://x/m?{SECRET}", 1, "a", "init_image", f"'{address}'", "", f"init_image is '{address}'"
    )
    for said in (
        repr(row),
        str(row),
        str(NightreelError(f"no '{address}'")),
        repr(NightreelError(address)),
        str(problem),
    ):
        assert SECRET not in said
    assert SECRET not in json.dumps(problem.to_dict())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("prompt", f"an apple, see http://{SECRET}@host.example/p.png"),
        ("prompt", f"an apple, see http://user:{SECRET}@host.example/p.png please"),
        ("prompt", f"user:{SECRET}@host.example/x | [a|b]"),
        ("prompt", f"see http://user:{SECRET}@h.example/[a|b]"),
        ("zoom", f"http://user:{SECRET}@host.example/p.png"),
        ("zoom", f"{'0:(1), ' * 12}http://user:{SECRET}@host.example/p.png"),
        ("zoom", f"0:(1), max_f:(http://u:{SECRET}@h.example)"),
        ("zoom", f"sin(t) + token={SECRET}"),
    ],
)
def test_what_an_error_quotes_of_a_longer_text_shows_no_secret(column: str, value: str) -> None:
    """A piece of an address that was cut at its colon may not look like one."""
    row = {"video_id": "reef", "prompt": "an apple", column: value}
    with pytest.raises(ValidationError) as caught:
        ManifestRow.model_validate(row)
    assert SECRET not in without_secrets("; ".join(it["msg"] for it in caught.value.errors()))


@pytest.mark.parametrize(
    "row",
    [{"zoom": "0:(1.0"}, {"height": 5}, {"image_prompts": [{"image": "a.png", "weight": "x"}]}, {"keyframe_every": 0}],
)
def test_what_is_said_of_most_bad_rows_is_not_searched_for_secrets(row: dict[str, object]) -> None:
    """A search takes a millisecond, and fifty thousand bad rows have three sentences each: `key` in 'keyframes' and
    `gh` in 'height' had every one of them searched."""
    with pytest.raises(ValidationError) as caught:
        ManifestRow.model_validate({"video_id": "reef", "prompt": "an apple", **row})
    said = "; ".join(f"{it['loc']}: {it['msg']}" for it in caught.value.errors()).lower()
    assert [hint for hint in _HINTS if hint in said and hint not in ("=", "?", "%")] == []
