"""Addresses of proxies, and which requests use them."""

from __future__ import annotations

import pytest

from batch_runner.util.proxies import Proxies, ProxyUrl, environment_proxies, parse_proxy


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        (" proxy.example:3128 ", "http://proxy.example:3128"),
        ("https://proxy.example", "https://proxy.example"),
        ("http://proxy.example/", "http://proxy.example"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("socks5h://127.0.0.1:1080", "socks5h://127.0.0.1:1080"),
        ("http://me:pw%2D1@proxy.example:1", "http://[hidden]@proxy.example:1"),
        ("me:pw-1@proxy.example:1", "http://[hidden]@proxy.example:1"),
    ],
)
def test_address_is_shown_without_user_name_and_password(text: str, shown: str) -> None:
    proxy = parse_proxy(text)

    assert str(proxy) == shown
    assert "pw" not in repr(proxy)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "http://", "ftp://proxy.example", "http://proxy.example:port"),
        *("http://proxy.example:99999", "http://proxy.example:0", "http://proxy.example/path"),
        *("http://proxy.example?x=1", "http://pro xy:1", "http://[::1:1", "://x", "http://:3128"),
        *("http://me:pw-123@", "me:pw-123@proxy.example:x", "ftp://me:pw-123@h"),
        5,
        None,
    ],
)
def test_what_is_no_address_is_refused_without_a_password(text: object) -> None:
    with pytest.raises(ValueError, match="wanted the address of a proxy such as") as caught:
        parse_proxy(text)

    assert "pw-123" not in str(caught.value)


def test_missing_socks_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ValueError, match=r"pip install 'batch-runner\[socks\]'"):
        parse_proxy("socks5://127.0.0.1:1080")


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "p:1"}, "http://p:1", None),
        ({"HTTPS_PROXY": "p:1", "http_proxy": "q:1"}, "http://q:1", "http://p:1"),
        ({"ALL_PROXY": "p:1", "HTTP_PROXY": "q:1"}, "http://q:1", "http://p:1"),
        ({"https_proxy": "p:1", "HTTPS_PROXY": "q:1"}, None, "http://p:1"),
        ({"HTTPS_PROXY": ""}, None, None),
    ],
)
def test_variables_name_the_proxy_of_a_scheme(
    environment: dict[str, str], http: str | None, https: str | None
) -> None:
    proxies = environment_proxies(environment)

    found = [proxies.for_url(f"{scheme}://service.example/x") for scheme in ("http", "https")]
    assert [proxy and str(proxy) for proxy in found] == [http, https]


def test_proxy_knows_the_variable_that_names_it() -> None:
    proxy = environment_proxies({"all_proxy": "p:1"}).http

    assert proxy is not None
    assert proxy.source == "all_proxy"


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("", False),
        ("service.example", True),
        (".example", True),
        ("example", True),
        ("other.example, service.example:8080", True),
        ("service.example:1", False),
        ("other.example", False),
        ("*", True),
    ],
)
def test_no_proxy_names_hosts_that_are_reached_directly(no_proxy: str, *, direct: bool) -> None:
    proxy = ProxyUrl("http://p:1")

    found = Proxies(proxy, proxy, no_proxy).for_url("http://service.example:8080/x")

    assert (found is None) == direct


def test_passwords_are_known_as_written_and_decoded() -> None:
    proxy = parse_proxy("http://me:p%40ss@proxy.example")

    assert Proxies(proxy, proxy).passwords == {"p%40ss", "p@ss"}
