"""Serves a report and its files on the loopback interface, for a browser on another machine.

Readable are the page, its data and thumbnails, and the visible files of the output folder; nothing
else of `.batch/`, no listing, and nothing that a symbolic link has elsewhere.
"""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from batch_runner.media import TYPES
from batch_runner.util.paths import Utf8Path, plain_path, utf8_text

ADDRESS = "127.0.0.1"
#: Names of this machine in a Host header. Any other is a web site whose name points here
#: (DNS rebinding). The port differs if an SSH tunnel has another one.
_HOSTS = frozenset({ADDRESS, "localhost", "::1"})
_REPORT_DATA = re.compile(r"\.batch/report/([\w-]+\.js|thumbnails/[\w-]+\.webp)")
#: MIME name by extension; the first row that has one gives it.
_TYPES = {
    name: row.type.name for row in reversed(TYPES) for name in row.names if name.startswith(".")
} | {".js": "text/javascript"}
_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
#: A result with a script must not read the report.
_NO_SCRIPTS = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"}


async def serve_report(page: Path, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve `page` and the files beside it until SIGINT or SIGTERM.

    `port` 0 takes a free one; `ready` gets the URL of the page, and the port.

    Raises:
        OSError: the port is in use.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    runner = web.AppRunner(application(page), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, ADDRESS, port)
        await site.start()
        port = runner.addresses[0][1]
        ready(f"http://{ADDRESS}:{port}/{page.name}", port)
        await stop.wait()
    finally:
        await runner.cleanup()


def application(page: Path) -> web.Application:
    """Return the web application that serves `page` and the files beside it."""
    root = Utf8Path(page.parent).resolve()

    async def answer(request: web.Request) -> web.StreamResponse:
        path = await asyncio.to_thread(_find, root, request.match_info["path"] or page.name)
        if path is None:
            raise web.HTTPNotFound
        kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
        headers = {"Content-Type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind}
        if path != root / page.name and re.search(r"html|xml", kind):
            headers |= _NO_SCRIPTS
        return web.FileResponse(plain_path(path), headers=headers)

    app = web.Application(middlewares=[_check_host])
    app.on_response_prepare.append(_add_headers)
    app.router.add_get("/{path:.*}", answer)
    return app


def _find(root: Path, name: str) -> Path | None:
    """Return the file of this name if it may be read, None if not."""
    try:
        path = Utf8Path(root / name).resolve()
        inner = path.relative_to(root)
        is_file = path.is_file()
    except (OSError, ValueError):  # outside of the folder, or no possible name
        return None
    hidden = any(part.startswith(".") for part in inner.parts)
    if not is_file or (hidden and not _REPORT_DATA.fullmatch(utf8_text(inner))):
        return None
    return path


@web.middleware
async def _check_host(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        host = None
    if host not in _HOSTS:
        raise web.HTTPForbidden(text=f"open http://{ADDRESS} instead\n")
    return await handler(request)


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
