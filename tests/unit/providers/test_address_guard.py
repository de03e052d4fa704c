"""From which addresses files may be downloaded."""

from __future__ import annotations

import errno
import socket

import pytest

from batch_runner.errors import FileNotAccepted, FileRejected
from batch_runner.providers.http.address_guard import AddressGuard

CLOUD = ("47.95.1.2",)
PRIVATE = ["10.1.2.3", "192.168.0.9", "100.64.0.1", "fd00::1", "198.18.0.7", "::ffff:10.1.2.3"]
LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"]  # noqa: S104
LINK_LOCAL = ["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"]
DISGUISED = ["64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::"]
MULTICAST = ["224.0.0.1", "ff02::1"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]


def allowed(guard: AddressGuard, addresses: list[str]) -> list[str]:
    return [one for one in addresses if guard.allows(one)]


def test_cloud_service_has_only_public_files() -> None:
    guard = AddressGuard(CLOUD)

    assert allowed(guard, PUBLIC) == PUBLIC
    assert allowed(guard, PRIVATE + LOOPBACK + LINK_LOCAL + DISGUISED + MULTICAST) == []


def test_allowed_network_is_added() -> None:
    guard = AddressGuard(CLOUD, networks=["198.18.0.0/15", "10.0.0.0/8", "fd00::/8"])

    assert allowed(guard, PRIVATE) == ["10.1.2.3", "fd00::1", "198.18.0.7", "::ffff:10.1.2.3"]
    assert allowed(guard, LOOPBACK + LINK_LOCAL + DISGUISED + MULTICAST) == []


def test_network_of_everything_adds_no_local_address() -> None:
    """The manifest refuses such networks; the guard does not rely on that."""
    guard = AddressGuard(CLOUD, networks=["0.0.0.0/0", "::/0"])

    assert allowed(guard, PRIVATE) == PRIVATE
    assert allowed(guard, LOOPBACK + LINK_LOCAL + DISGUISED + MULTICAST) == []


def test_private_service_has_private_files() -> None:
    guard = AddressGuard(["192.168.0.2"])

    assert allowed(guard, PUBLIC + PRIVATE) == PUBLIC + PRIVATE
    assert allowed(guard, LOOPBACK + LINK_LOCAL) == []


@pytest.mark.parametrize(
    "guard",
    [
        AddressGuard(["127.0.0.1"]),
        AddressGuard(["0.0.0.0"]),  # noqa: S104  as ComfyUI prints its own address
        AddressGuard(CLOUD, allow_private=True),
    ],
)
def test_service_of_this_machine_has_no_files_on_its_link(guard: AddressGuard) -> None:
    assert allowed(guard, PRIVATE + LOOPBACK) == PRIVATE + LOOPBACK
    assert allowed(guard, LINK_LOCAL) == []


def test_link_local_service_has_such_files() -> None:
    assert allowed(AddressGuard(["169.254.1.1"]), LINK_LOCAL) == LINK_LOCAL


def test_service_behind_a_fake_address_has_only_such_private_files() -> None:
    guard = AddressGuard(["198.18.0.3"])

    assert allowed(guard, PUBLIC + PRIVATE) == [*PUBLIC, "198.18.0.7"]
    assert allowed(guard, LOOPBACK + LINK_LOCAL) == []


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("198.19.3.4", "add 198.18.0.0/15 to downloads.allow_networks"),
        ("10.1.2.3", "add 10.1.2.0/24 to downloads.allow_networks"),
        ("[fd00::7]", "add fd00::/64 to downloads.allow_networks"),
        ("127.0.0.1", "from which nothing is downloaded"),
        ("169.254.169.254", "from which nothing is downloaded"),
    ],
)
def test_refusal_of_an_address_names_the_setting(host: str, said: str) -> None:
    with pytest.raises(FileNotAccepted) as caught:
        AddressGuard(CLOUD).checked_url(f"https://{host}/a.png?key=secret")

    assert str(caught.value).endswith(said)
    assert caught.value.reason == "private-address"
    assert caught.value.certain
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://a/b", "http://u:p@host/a", "http:///a", "http://[::1/a"])
def test_unusable_url_is_rejected(url: str) -> None:
    with pytest.raises(FileRejected, match="URL"):
        AddressGuard(CLOUD).checked_url(url)


def test_name_is_checked_where_it_resolves_to() -> None:
    guard = AddressGuard(CLOUD, networks=["10.0.0.0/8"])
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "")

    assert guard.checked_url("https://files.example/a.png").host == "files.example"
    guard.open_socket((*info, ("10.0.0.1", 443))).close()
    with pytest.raises(PermissionError) as caught:
        guard.open_socket((*info, ("192.168.0.1", 443)))
    assert caught.value.errno == errno.EACCES
