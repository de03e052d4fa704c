"""`report` with --open, --serve and --share, on a job whose journal the test wrote."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import wait_until, write_manifest
from tests.harness.commands import PATIENCE, run_command, start_command
from tests.harness.stored_job import StoredJob, an_item, png_bytes


@dataclass
class Reporter:
    """A finished job of two items, and the command that reports it."""

    job: StoredJob
    manifest: Path

    def words(self, *more: str) -> list[str]:
        target = [str(self.manifest), "--output", str(self.job.folder)]
        return ["report", *target, *more]

    def __call__(self, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        hidden = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
        kept = {name: text for name, text in os.environ.items() if name not in hidden}
        return run_command(*self.words(*more), environment=kept | environment)


@pytest.fixture
def report(tmp_path: Path) -> Iterator[Reporter]:
    manifest = tmp_path / "cards.yaml"
    write_manifest(manifest, 2)
    job = StoredJob(tmp_path / "out")
    items = [an_item(0), an_item(1)]
    job.list(*items)
    for item in items:
        job.done(item)
    yield Reporter(job, manifest)
    job.journal.close()


def test_open_without_a_browser_says_what_to_do(report: Reporter) -> None:
    done = report("--open")

    assert (done.returncode, done.stdout) == (0, f"{report.job.folder}/index.html\n")
    assert done.stderr.startswith(f"no browser here: copy {report.job.folder} ")
    assert done.stderr.count("\n") == 1


def test_open_gives_the_page_to_the_browser(report: Reporter, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)

    done = report("--open", BROWSER=str(browser))

    assert (done.returncode, done.stderr) == (0, "")
    wait_until(lambda: (tmp_path / "opened").exists())
    wait_until(lambda: bool((tmp_path / "opened").read_text()))
    assert (tmp_path / "opened").read_text() == f"file://{report.job.folder}/index.html\n"


def test_share_states_the_size_and_keeps_other_files(report: Reporter, tmp_path: Path) -> None:
    target = tmp_path / "shared.html"

    first = report("--share", str(target), "--title", "Our cards")
    second = report("--share", str(report.manifest))

    assert (first.returncode, first.stdout) == (0, f"{target}\n")
    assert re.fullmatch(r"2 images, \d+\.\d MB\n", first.stderr)
    assert second.returncode == 2
    assert "exists and is not a shared page" in second.stderr
    assert report.manifest.read_text().startswith("workflow:")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--title", "x"), "add --share FILE"),
        (("--serve", "--share", "x.html"), "exclude each other"),
        (("--serve", "70000"), "not a port"),
        (("--share", "/no/such/folder/x.html"), "cannot write /no/such/folder/x.html"),
    ],
)
def test_impossible_options_are_refused(
    report: Reporter, words: tuple[str, ...], message: str
) -> None:
    done = report(*words)

    assert done.returncode == 2
    assert message in done.stderr


@contextmanager
def served(report: Reporter) -> Iterator[int]:
    """Serve the report on a free port; at the end send Ctrl-C and assert exit status 0."""
    process = start_command(*report.words("--serve", "0"))
    assert process.stdout is not None
    url = process.stdout.readline()
    port = int(url.removeprefix("http://127.0.0.1:").partition("/")[0])
    try:
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "")
    assert f"ssh -L {port}:127.0.0.1:{port} " in err


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request with this very path."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(method, path, headers={"Host": "localhost", **headers})
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


def test_served_report_has_its_data_and_files(report: Reporter) -> None:
    video = b"a video of twenty bytes"
    (report.job.folder / "clip.mp4").write_bytes(video)
    (report.job.folder / "drawing.svg").write_text("<svg><script>steal()</script></svg>")
    with served(report) as port:
        page = ask(port, "/")
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        (script,) = re.findall(rb'<script src="([^"]+)">', page.body)
        data = ask(port, f"/{script.decode()}")
        assert data.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert data.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        (thumbnail,) = (report.job.folder / ".batch/report/thumbnails").glob(f"{1:032x}*")
        for path, kind in (
            ("card-0.png", "image/png"),
            (f".batch/report/thumbnails/{thumbnail.name}", "image/webp"),
        ):
            found = ask(port, f"/{path}")
            assert (found.status, found.headers["Content-Type"]) == (200, kind)
        part = ask(port, "/clip.mp4", Range="bytes=2-6")
        assert (part.status, part.body) == (206, b"video")
        assert part.headers["Content-Type"] == "video/mp4"
        assert "sandbox" in ask(port, "/drawing.svg").headers["Content-Security-Policy"]
        assert ask(port, "/", "HEAD").status == 200
        assert ask(port, "/", "POST").status == 405


PRIVATE = (
    "/.batch/journal.sqlite",
    "/.batch/",
    "/.batch/report/",
    "/.batch/report/thumbnails/",
    "/.batch/report/../journal.sqlite",
    "/%2ebatch/journal.sqlite",
    "/.hidden",
    "/folder/",
    "/folder",
    "/folder/../.batch/journal.sqlite",
    "/folder%2f..%2f.batch%2fjournal.sqlite",
    "/../cards.yaml",
    "/%2e%2e/cards.yaml",
    "/..%2fcards.yaml",
    "//etc/passwd",
    "/card-0.png%00",
    "/link-out.png",
    "/link-to-journal.png",
    "/link-folder/cards.yaml",
    "/no-such-file",
)


def test_nothing_else_is_served(report: Reporter) -> None:
    folder = report.job.folder
    (folder / ".hidden").write_text("secret")
    (folder / "folder").mkdir()
    (folder / "folder" / "a horse.png").write_bytes(png_bytes(7))
    (folder / "link-out.png").symlink_to(report.manifest)
    (folder / "link-to-journal.png").symlink_to(folder / ".batch/journal.sqlite")
    (folder / "link-folder").symlink_to(folder.parent)

    with served(report) as port:
        assert ask(port, "/card-0.png").body == png_bytes(0)
        assert ask(port, "/folder/a%20horse.png").body == png_bytes(7)
        assert {path: ask(port, path).status for path in PRIVATE} == dict.fromkeys(PRIVATE, 404)


def test_host_must_name_this_machine(report: Reporter) -> None:
    """A web site can let its own name point to 127.0.0.1 and read what is there."""
    own = ("127.0.0.1:9", "LOCALHOST:9", "[::1]:9")
    foreign = ("evil.example", "127.0.0.1.evil.example:9", "[::1", "")
    expected = dict.fromkeys(own, 200) | dict.fromkeys(foreign, 403)

    with served(report) as port:
        assert {host: ask(port, "/", Host=host).status for host in expected} == expected


def test_port_in_use_is_refused(report: Reporter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = report("--serve", str(taken.getsockname()[1]))

    assert done.returncode == 2
    assert "choose another port: --serve PORT" in done.stderr
