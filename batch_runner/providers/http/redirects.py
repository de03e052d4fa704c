"""What a redirect of a request to the API means. None is followed: see `http.client`."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from batch_runner.errors import ApiError, Failure
from batch_runner.util.text import printable
from batch_runner.util.urls import origin

#: Statuses that ask for the same request elsewhere: this one was not processed.
_NOT_PROCESSED = (307, 308)
#: Statuses that some servers use for the same, for example from http to https.
_MOVED = (301, 302)


def redirect_error(
    what: str, status: int, location: str | None, *, url: str, base_url: str, variable: str
) -> ApiError:
    """Return the error for a redirect of the request to `url`.

    `location` is the header's value without the key; None: there was none. `variable` is the name
    of what sets `base_url`, for the hint.
    """
    target = _target(url, location)
    same_path = target is not None and target.path == urlsplit(url).path
    elsewhere = target is not None and origin(target.geturl()) != origin(url)
    moved = status in _NOT_PROCESSED or (status in _MOVED and same_path and elsewhere)
    if target is not None:
        shown = _plain(target, target.path)
    else:
        shown = "no address" if location is None else "an invalid address"
    if target is not None and same_path and elsewhere:
        new = _plain(target, target.path.removesuffix(url.removeprefix(base_url)))
        hint = f"if that is right, set {variable}={new}"
    else:
        hint = f"check {variable}"
    return ApiError(
        f"{what}: HTTP {status}, redirected to {shown}; redirects are not followed: {hint}",
        failure=Failure.MOVED if moved else Failure.REDIRECTED,
        status=status,
    )


def _target(url: str, location: str | None) -> SplitResult | None:
    """Return the absolute URL of a redirect; None if it is none that a request could be sent to."""
    if not location:
        return None
    try:
        target = urlsplit(urljoin(url, location))
        _ = target.port
    except ValueError:
        return None
    return target if target.scheme in ("http", "https") and target.hostname else None


def _plain(url: SplitResult, path: str) -> str:
    """Return a URL for display, without user name, password, query and fragment."""
    return printable(f"{url.scheme}://{url.netloc.rpartition('@')[2]}{path}", 200)
