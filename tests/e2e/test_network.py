"""Proxies, TLS and the key, as a user sets them and sees what is wrong."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Command, Service, write_manifest
from tests.harness.proxy import SmallProxy, copy_stream, small_proxy

pytestmark = pytest.mark.slow

CERTIFICATE = Path(__file__).parent.parent / "fixtures" / "localhost.pem"
PASSWORD = "proxy-password-1"
SOON = "timeouts: {first_contact: 1s}\n"


@pytest.fixture
def proxy() -> Iterator[SmallProxy]:
    """Run a proxy that wants a password, in a thread."""
    with _in_thread() as run:
        context = small_proxy(user=f"me:{PASSWORD}")
        yield run(context.__aenter__())
        run(context.__aexit__(None, None, None))


@pytest.fixture
def https_url(service: Service) -> Iterator[str]:
    """Return the simulator's URL behind TLS, with a certificate that nobody trusts."""
    port = int(service.url.rpartition(":")[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("localhost-key.pem"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy_stream(reader, back), copy_stream(there, writer))

    with _in_thread() as run:
        server = run(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()


class _in_thread:  # noqa: N801  a context manager
    """Run an event loop in a thread; the block gets a function that runs a coroutine in it."""

    def __enter__(self):  # type: ignore[no-untyped-def]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return lambda work: asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def files_with(text: str, folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_run_through_a_trusted_proxy_variable_and_tls(
    command: Command, proxy: SmallProxy, https_url: str
) -> None:
    command.environment |= {
        "BAICAI_BASE_URL": https_url,
        "SSL_CERT_FILE": str(CERTIFICATE),
        "HTTPS_PROXY": proxy.url.replace("//", f"//me:{PASSWORD}@"),
        "BATCH_RUNNER_TRUST_ENV": "yes",
    }

    ended = command("run")

    assert ended.returncode == 0, ended.stderr
    assert f"CONNECT {https_url.removeprefix('https://')}" in proxy.requests
    assert PASSWORD not in ended.stdout + ended.stderr
    assert files_with(PASSWORD, command.folder) == []


def test_wrong_password_of_a_proxy_is_said_with_its_setting(
    command: Command, service: Service, proxy: SmallProxy
) -> None:
    url = proxy.url.replace("//", "//me:wrong-password@")
    command.environment["BATCH_RUNNER_PROXY"] = url

    ended = command("run")

    assert ended.returncode == 4
    assert "of network.proxy answered HTTP 407" in ended.stdout
    assert "wrong-password" not in ended.stdout + ended.stderr
    assert set(command.statuses().values()) == {"pending"}
    assert files_with("wrong-password", command.folder) == []
    assert service.paid() == {}


def test_untrusted_certificate_is_said_with_the_variable_to_set(
    command: Command, https_url: str
) -> None:
    write_manifest(command.manifest, 2, more=SOON)
    command.environment["BAICAI_BASE_URL"] = https_url

    ended = command("run")

    assert ended.returncode == 4
    assert "self-signed certificate); set SSL_CERT_FILE to a file of the" in ended.stdout
    assert set(command.statuses().values()) == {"pending"}


@pytest.mark.parametrize("name", ["plan", "run"])
def test_ignored_proxy_variable_is_said_in_one_line(
    command: Command, service: Service, name: str
) -> None:
    command.environment["http_proxy"] = f"http://me:{PASSWORD}@127.0.0.1:9"
    said = "warning: http_proxy is set but not used; --trust-env yes uses it\n"

    ended = command(name)
    told = command(name, "--trust-env", "no") if name == "plan" else command(name, "--quiet")

    assert ended.returncode == 0
    assert said in ended.stderr
    assert (said in told.stderr) == (name == "plan")
    assert PASSWORD not in ended.stderr + told.stderr


def test_rehearsal_uses_no_proxy(command: Command) -> None:
    command.environment["BATCH_RUNNER_PROXY"] = "http://127.0.0.1:9"

    assert command("run", "--rehearse").returncode == 0


def test_shown_settings_hide_the_password_of_a_proxy(command: Command) -> None:
    command.environment["BATCH_RUNNER_PROXY"] = f"http://me:{PASSWORD}@proxy.example:1"

    text = command("run", "--show-config").stdout
    lines = command("run", "--show-config", "--json").stdout
    flag = command("run", "--show-config", "--proxy", "socks5://p:1", "--trust-env", "on").stdout

    assert "network.proxy = http://[hidden]@proxy.example:1  (environment)" in text
    assert PASSWORD not in text + lines
    found = {one["setting"]: one for one in map(json.loads, lines.splitlines())}
    assert found["network.proxy"]["value"] == "http://[hidden]@proxy.example:1"
    assert found["network.trust_env"]["value"] is False
    assert "network.proxy = socks5://p:1  (flag)" in flag
    assert "network.trust_env = true  (flag)" in flag


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BATCH_RUNNER_TRUST_ENV", "maybe", '"maybe": wanted yes or no'),
        ("BATCH_RUNNER_TRUST_ENV", "１", '"１": wanted yes or no'),
        ("BATCH_RUNNER_MAX_SUBMISSIONS", "３００", "; type 300 (half-width, in ASCII)"),
        ("BATCH_RUNNER_MAX_SUBMISSIONS", "٣", '"٣": wanted a whole number above 0'),
        ("BATCH_RUNNER_RATE", "５/s", "; type 5/s (half-width, in ASCII)"),
        ("BATCH_RUNNER_RATE", "٥/s", '"٥/s": wanted a rate such as'),
        ("BATCH_RUNNER_UNTIL", "06：30", "; type 06:30 (half-width, in ASCII)"),
        ("BATCH_RUNNER_PROXY", f"http://me:{PASSWORD}@h:x", ": wanted the address of a proxy"),
    ],
)
def test_unusable_variable_is_refused(command: Command, name: str, value: str, said: str) -> None:
    command.environment[name] = value
    command.environment["PYTHONUTF8"] = "1"

    ended = command("plan")

    assert ended.returncode == 2
    assert name in ended.stderr
    assert said in ended.stderr
    assert PASSWORD not in ended.stderr


@pytest.mark.parametrize("where", ["manifest", "user config"])
def test_unusable_proxy_in_a_file_is_refused_without_its_password(
    command: Command, where: str
) -> None:
    block = f"network: {{proxy: 'http://me:{PASSWORD}@h:x', trust_env: maybe}}\n"
    if where == "manifest":
        write_manifest(command.manifest, 1, more=block)
    else:
        path = command.folder / "config" / "batch-runner" / "config.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(block)
        command.environment["XDG_CONFIG_HOME"] = str(command.folder / "config")

    ended = command("plan")

    assert ended.returncode == 2
    assert "network.proxy: wanted the address of a proxy" in ended.stderr
    assert "network.trust_env: wanted yes or no, this is maybe" in ended.stderr
    assert PASSWORD not in ended.stderr


def test_rejected_key_is_said_with_the_variable_or_file_it_is_from(
    command: Command, service: Service
) -> None:
    service.set_faults("http:submit:status=401")
    ended = command("run")
    path = command.folder / "the key"
    path.write_text(f"\ufeff{command.environment.pop('BAICAI_API_KEY')}\r\n")
    path.chmod(0o644)
    command.environment["BAICAI_API_KEY_FILE"] = str(path)
    again = command("run")

    assert (ended.returncode, again.returncode) == (4, 4)
    assert "the key is that of BAICAI_API_KEY" in ended.stdout
    assert f"the key is that of {path}" in again.stdout
    assert f"warning: other users may read the key file; protect it with chmod 600 '{path}'" in (
        again.stderr
    )


def test_moved_service_is_said_with_the_variable_to_set(command: Command, service: Service) -> None:
    service.set_faults("redirect:submit:to=https://new.example/v1/comfyui/create")

    ended = command("run")

    assert ended.returncode == 4
    assert "BAICAI_BASE_URL=https://new.example" in ended.stdout
    assert set(command.statuses().values()) == {"pending"}
