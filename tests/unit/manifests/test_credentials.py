"""Secrets in plain texts, where no address shows them; and what people write of other things."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.masking import address_without_secrets, has_secret, without_secrets

SECRET = "s3kritValue0123456789abcdefXYZ"
BODY = f"MIIEow{SECRET}\nabc{SECRET}=="
PRIVATE_KEYS = [
    f"-----BEGIN {kind}-----{line}{BODY}{line}{end}"
    for kind in ("PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK")
    for line in ("\n", "\\n")
    for end in (f"-----END {kind}-----", "")
]
TOKENS = (
    f"glpat-{SECRET[:20]}", f"hf_{SECRET}abcd", f"sk-{SECRET}", f"sk-proj-{SECRET}", f"sk-ant-api03-{SECRET}",
    f"sk_live_{SECRET}", f"AIzaSy{SECRET}abc", f"ya29.a0{SECRET}", f"npm_{SECRET}abcdef", f"github_pat_11{SECRET}",
    f"pypi-AgEIcHlwaS5vcmc{SECRET}", f"pnu_{SECRET}", f"whsec_{SECRET}", f"GOCSPX-{SECRET}",
    f"SG.{SECRET[:22]}.{SECRET}abcdefghijklm",
)  # fmt: skip
NAMED = (
    f"password: {SECRET}", f'Password: "{SECRET}"', f"PASSWORD : {SECRET}", f"password:{SECRET}",
    f"password: '{SECRET} two words'", f'"password": {SECRET}', f"{{password: {SECRET}}}", f"pwd: {SECRET}",
    f"x-api-key: {SECRET}", f"-H 'X-Api-Key: {SECRET}'", f"api_key: {SECRET}", f"apikey: {SECRET}",
    f"X-Auth-Token: {SECRET}", f"PRIVATE-TOKEN: {SECRET}", f"client_secret: {SECRET}", f"access_token: {SECRET}",
    f"('x-api-key', '{SECRET}')", f"{{b'password': b'{SECRET}'}}", f"{{'X-Api-Key': 'x', 'Cookie': 'a={SECRET}'}}",
    f"Cookie: a={SECRET}; b={SECRET}", f"Set-Cookie: session={SECRET}; Path=/", f"secret: {SECRET}",
    f"token: {SECRET}", f"--password {SECRET}", f"<Password>{SECRET}</Password>",
    f"<SecretAccessKey>{SECRET}</SecretAccessKey>", f"Authorization: ApiKey {SECRET}",
    f"Authorization: Negotiate {SECRET}", f"Token {SECRET}", f"the password is {SECRET}", f"its token is '{SECRET}'",
)  # fmt: skip
HONEST = (
    "password: swordfish", "a token: the hobbit's ring", "key: a red key on a table", "Cookie: the monster, blue",
    "cookie: chocolate chip, photo", "high-key: bright portrait", "the secret: an 18th-century garden",
    "sk-8 on a skateboard", "hf_style painting", "the token is too long: 91 tokens, at most 77", "a clock at 12:00",
    "the password:0.5 | of a king:-0.3", "the key: it must be unique", "-----BEGIN OF THE END-----",
    "the password is swordfish, the token was given in 1984", "a Token of appreciation from the 1980s",
    "SG. and ya29. and npm_", "a sk-inny-tall-and-very-long-hyphenated-word",
)  # fmt: skip


@pytest.mark.parametrize("sentence", ["{}", "the server answered: {}", "first\n{}\nlast 1"])
@pytest.mark.parametrize("text", [*PRIVATE_KEYS, *TOKENS, *NAMED])
def test_no_secret_is_left_in_a_text(text: str, sentence: str) -> None:
    masked = without_secrets(sentence.format(text))
    assert "***" in masked
    for part in (SECRET[:12], SECRET[-12:], "MIIEow", "two words"):
        assert part not in masked
    assert without_secrets(masked) == masked


@pytest.mark.parametrize("text", HONEST)
def test_what_people_write_of_other_things_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("address", [f"https://u:{SECRET}@h.example/a", f"http://h.example/a?token={SECRET}"])
def test_an_address_every_letter_of_which_is_encoded_shows_no_secret(address: str) -> None:
    written = "".join(f"%{ord(letter):02X}" for letter in address)
    for encoded in (written, written.lower(), quote(written, safe=""), quote(address, safe="")):
        assert SECRET not in _decoded(without_secrets(f"can't read {encoded}"))
        assert SECRET not in _decoded(address_without_secrets(encoded))
        assert has_secret(encoded)


def _decoded(text: str) -> str:
    return unquote(unquote(text))


_PARTS = ["password", "x-api-key", "token", "cookie", ": ", ":", "'", '"', "***", "a=1b2c3d4e", "s3krit99", "\n", "sk-",
          "%68%74", "%3A%2F%2F", "--", "('", "',", "-----BEGIN PRIVATE KEY-----", " "]  # fmt: skip


@given(st.lists(st.sampled_from(_PARTS), max_size=12).map("".join))
def test_what_is_masked_is_masked_once_for_all(text: str) -> None:
    masked = without_secrets(text)
    assert without_secrets(masked) == masked


@pytest.mark.parametrize(
    "part",
    ["-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "password: ", "password is ", "token ", "password:'",
     "cookie:", "cookie:a", "api_key:'1",
     "api-api-", "sk-a-", "sk-", "--a-", "('token',", "%68", "%25", "SG.", "token:1", "glpat-"],
)  # fmt: skip
def test_a_strangers_text_takes_no_time(part: str) -> None:
    assert without_secrets("http://" + part * (100_000 // len(part)) + "=")
