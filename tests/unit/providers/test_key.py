"""Where the key goes in a request, and which requests get it."""

from __future__ import annotations

import pytest

from batch_runner.providers.http.key import Key, KeyPlace, KeyPlacement

BASE = "https://api.service.example"


@pytest.mark.parametrize(
    ("url", "gets_it"),
    [
        (f"{BASE}/v1/tasks", True),
        (f"{BASE}:443/v1/tasks", True),
        (f"{BASE}.evil.example/v1", False),
        ("http://api.service.example/v1", False),
        ("https://api.service.example:8443/v1", False),
        ("https://eu.service.example/v1", True),
        ("http://eu.service.example/v1", False),
        ("https://eu.service.example:444/v1", False),
        ("https://service.example/v1", False),
        ("https://eu.service.example.evil.example/v1", False),
        ("https://evil.example/?x=.service.example", False),
        ("http://127.0.0.1:8000/v1", False),
    ],
)
def test_key_goes_to_the_own_origin_and_listed_hosts(url: str, gets_it: bool) -> None:
    placement = KeyPlacement(hosts=("*.service.example",))

    assert placement.is_for(url, BASE) is gets_it


@pytest.mark.parametrize(("local", "gets_it"), [(True, True), (False, False)])
def test_key_goes_to_other_ports_of_a_simulator_only(local: bool, gets_it: bool) -> None:
    placement = KeyPlacement(local=local)

    assert placement.is_for("http://127.0.0.1:9001/x", "http://127.0.0.1:9000") is gets_it
    assert not placement.is_for("http://10.0.0.1:9001/x", "http://127.0.0.1:9000")


def test_key_is_put_in_its_place_and_nowhere_else() -> None:
    for place in KeyPlace:
        key = Key("secret-key", KeyPlacement(place=place, name="k", prefix="P "))
        found = {
            KeyPlace.HEADER: key.headers,
            KeyPlace.QUERY: key.query,
            KeyPlace.BODY: key.fields,
        }
        assert {one: dict(pairs) for one, pairs in found.items()} == {
            one: {"k": "P secret-key"} if one is place else {} for one in KeyPlace
        }


def test_no_key_sends_no_header() -> None:
    assert dict(Key("").headers) == {}


def test_key_is_not_in_the_representation() -> None:
    assert "secret-key" not in repr(Key("secret-key"))
