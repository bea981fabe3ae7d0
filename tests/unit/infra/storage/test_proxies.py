"""A proxy of the environment that can't be asked is a sentence about the environment, and nothing is connected to."""

from __future__ import annotations

import pytest

from infra.storage.errors import SourceRefused, StorageUnavailable
from infra.storage.reading_policy import ReadingPolicy
from infra.storage.web_sources import get
from infra.storage.web_time import Deadline, HungServers


@pytest.mark.parametrize("url", ["http://user:Pl4nted/x@h:8/a.png", "https://u:Pl4nted?@h/a", "http://u:Pl4nted#b@h/"])
def test_an_address_that_is_none_is_refused_without_the_words_that_quote_it(url: str) -> None:
    with pytest.raises(SourceRefused, match="is no address of the web") as caught:
        list(get(url, ReadingPolicy(), Deadline(5), HungServers()))
    assert "Pl4nted" not in str(caught.value)
    with pytest.raises(SourceRefused, match=r"is no address of the web \(Invalid non-printable"):
        list(get("http://h/\x01.png", ReadingPolicy(), Deadline(5), HungServers()))


@pytest.mark.parametrize(
    "proxy",
    [
        "http://127.0.0.1:99999",
        "ftp://127.0.0.1:9",
        "socks5://127.0.0.1:9",
        "http://",
        "http://u:Pl4nted@h:x/",
        "a b:c",
    ],
)
def test_a_proxy_that_cannot_be_asked_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(StorageUnavailable, match="the proxy that the environment names for 'http:'") as caught:
        list(get("http://8.8.8.8/x", ReadingPolicy(), Deadline(5), HungServers()))
    assert "HTTP_PROXY" in caught.value.remedy
    assert "Pl4nted" not in str(caught.value)
