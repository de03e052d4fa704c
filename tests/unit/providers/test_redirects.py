"""What a redirect of a request to the API proves, and how its target is shown."""

from __future__ import annotations

import pytest

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.http.redirects import redirect_error

URL = "https://api.example/v1/create"
KEY = "sk-a-key-that-must-not-leak"


def redirected(status: int, location: str | None) -> ApiError:
    return redirect_error(
        "submit",
        status,
        location,
        url=URL,
        base_url="https://api.example",
        variable="X_BASE_URL",
    )


@pytest.mark.parametrize(
    ("status", "location", "failure"),
    [
        (307, None, Failure.MOVED),
        (308, "%%%", Failure.MOVED),
        (307, "/login", Failure.MOVED),
        (301, "https://other.example/v1/create", Failure.MOVED),
        (302, "http://api.example/v1/create", Failure.MOVED),
        (301, "//api.example:8443/v1/create", Failure.MOVED),
        (301, "https://api.example:443/v1/create", Failure.REDIRECTED),  # to itself
        (301, "https://api.example/v1/create/", Failure.REDIRECTED),
        (302, "https://other.example/v1/CREATE", Failure.REDIRECTED),
        (302, "ftp://other.example/v1/create", Failure.REDIRECTED),
        (302, "https:///v1/create", Failure.REDIRECTED),
        (302, "http://[::1/v1/create", Failure.REDIRECTED),
        (302, "https://other.example:99999/v1/create", Failure.REDIRECTED),
        (302, "", Failure.REDIRECTED),
        (301, None, Failure.REDIRECTED),
        (303, "https://other.example/v1/create", Failure.REDIRECTED),
        (300, "https://other.example/v1/create", Failure.REDIRECTED),
        (304, None, Failure.REDIRECTED),
        (305, "https://other.example/v1/create", Failure.REDIRECTED),
    ],
)
def test_only_the_same_request_elsewhere_was_certainly_not_accepted(
    status: int, location: str | None, failure: Failure
) -> None:
    error = redirected(status, location)

    assert error.failure is failure
    assert error.status == status


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (f"https://user:{KEY}@other.example:1/v1/create?k={KEY}#{KEY}", "https://other.example:1/v1/create"),
        ("/log\x1b[2Jin", "https://api.example/log"),
        ("login", "https://api.example/v1/login"),
        (f"https://{KEY}@[::1/", "an invalid address"),
        (None, "no address"),
        ("https://münchen.example/v1/create", "https://münchen.example/v1/create"),
        ("https://other.example/" + "a" * 5000, "https://other.example/aaa"),
    ],
)  # fmt: skip
def test_target_is_shown_without_credentials(location: str | None, shown: str) -> None:
    error = redirected(307, location)

    assert f"redirected to {shown}" in str(error)
    assert KEY not in str(error)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 600


def test_new_base_url_keeps_the_prefix_of_the_old_one() -> None:
    error = redirect_error(
        "submit",
        307,
        "https://other.example/api/v1/create",
        url="http://api.example/api/v1/create",
        base_url="http://api.example/api",
        variable="X_BASE_URL",
    )

    assert "X_BASE_URL=https://other.example/api;" in str(error) + ";"
