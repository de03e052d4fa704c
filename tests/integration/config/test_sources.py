"""Where each setting comes from, as `run --show-config` and `plan` show it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch_runner.cli.main import run_command
from batch_runner.config.user_config import user_config_path


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config" / "batch-runner" / "config.yaml"
    path.parent.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("BATCH_RUNNER_RATE", raising=False)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "cards.yaml"
    path.write_text(
        'workflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nlimits: {in_flight: 7}\nprompts: [a]\n'
    )
    return path


def shown(manifest: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """Return each setting's value and origin."""
    capsys.readouterr()
    assert run_command(["run", str(manifest), "--show-config", *arguments]) == 0
    return dict(line.split(" = ", 1) for line in capsys.readouterr().out.splitlines())


def refused(manifest: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of a refused plan."""
    capsys.readouterr()
    assert run_command(["plan", str(manifest)]) == 2
    return capsys.readouterr().err


def test_concurrency_follows_the_rate_limits_unless_set(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    modest = shown(manifest, capsys)
    hasty = shown(manifest, capsys, "--rate", "100/s", "--poll-rate", "1000/s")
    text = manifest.read_text().replace("in_flight: 7", "concurrent_submissions: 3")
    manifest.write_text(text)
    chosen = shown(manifest, capsys, "--rate", "100/s")

    assert modest["limits.concurrent_submissions"] == "16  (default, from limits.rate)"
    assert modest["polling.concurrency"] == "8  (default, from limits.poll_rate)"
    assert hasty["limits.concurrent_submissions"] == "50  (default, from limits.rate)"
    assert hasty["downloads.concurrency"] == "100  (default, from limits.rate)"
    assert hasty["polling.concurrency"] == "64  (default, from limits.poll_rate)"
    assert chosen["limits.concurrent_submissions"] == f"3  ({manifest}:3)"


def test_every_invalid_flag_or_variable_is_reported_by_name(
    manifest: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_RUNNER_POLL_RATE", "quick")

    code = run_command(
        ["run", str(manifest), "--rate", "fast", "--in-flight", "0", "--until", "25:00"]
    )

    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert [line.removeprefix("batch-runner: ").split('"')[0] for line in lines] == [
        *("--rate ", "--in-flight ", "--until ", "BATCH_RUNNER_POLL_RATE "),
    ]


def test_show_config_prints_json(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", str(manifest), "--show-config", "--json"]) == 0

    settings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"setting": "limits.in_flight", "value": 7, "from": f"{manifest}:3"} in settings
    assert {"setting": "limits.rate", "value": "1/s", "from": "default"} in settings


def test_show_config_prints_values_as_a_manifest_has_them(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = shown(manifest, capsys, "--run-for", "90m")

    assert found["polling.request_cost"] == "0.5s  (default)"
    assert found["timeouts.task"] == "7200s  (default)"
    assert found["limits.run_for"] == "5400s  (flag)"
    assert found["limits.max_submissions"] == "not set  (default)"
    assert found["retries.not_accepted_statuses"] == "not set  (default)"


def test_first_source_that_gives_a_setting_wins(
    config: Path,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config.write_text("limits:\n  in_flight: 99\n  rate: 3/s\n  confirm_above: 9 CNY\n")

    found = shown(manifest, capsys)

    assert found["limits.in_flight"] == f"7  ({manifest}:3)"
    assert found["limits.rate"] == f"3/s  (user config {config}:3)"
    assert found["limits.poll_rate"] == "10/s  (default)"
    assert shown(manifest, capsys, "--rate", "2/s")["limits.rate"] == "2/s  (flag)"
    monkeypatch.setenv("BATCH_RUNNER_RATE", "4/s")
    assert shown(manifest, capsys)["limits.rate"] == "4/s  (environment)"
    assert shown(manifest, capsys, "--rate", "2/s")["limits.rate"] == "2/s  (flag)"
    monkeypatch.setenv("BATCH_RUNNER_RATE", "")
    assert shown(manifest, capsys)["limits.rate"] == f"3/s  (user config {config}:3)"


def test_flag_keeps_the_other_limits_of_the_user_config(
    config: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("limits: {price: 2 CNY}\npolling: {longest: 5s}\n")

    found = shown(manifest, capsys, "--max-submissions", "3")

    assert found["limits.price"].startswith("2 CNY  (user config")
    assert found["polling.longest"].startswith("5s  (user config")


@pytest.mark.parametrize("text", ["", "# only a comment, and a key: of nothing\n", None])
def test_empty_user_config_changes_nothing(
    config: Path, manifest: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    if text is not None:
        config.write_text(text)

    assert "user config" not in str(shown(manifest, capsys))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits:\n  pase: 3/s\n", ":2:3: there is no key pase"),
        ("limits:\n  rate: never\n", ":2:9: limits.rate: wanted a rate"),
        ("workflow: w\n", ":1:1: there is no key workflow"),
        ("- 3/s\n", ":1:1: wanted blocks of settings"),
        ("limits: {rate: 3/s\n", ":1:9: a { is opened here and never closed"),
    ],
)
def test_invalid_user_config_is_reported_at_its_location(
    config: Path, manifest: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    config.write_text(text)

    error = refused(manifest, capsys)

    assert f"{config}:" in error
    assert message in error


@pytest.mark.parametrize(
    "text",
    [
        "limits: {rate: 3/s}\napi_key: hunter22\n",
        "limits: {}\nservice: {BAICAI_API_KEY: hunter22}\n",
        'limits: {}\n"key": hunter22\n',
        "limits: {}\ntoken: hunter22\n",
        "limits: {\n  rate: hunter22-sk-hunter22\n",
    ],
)
def test_key_in_the_user_config_is_refused_and_not_shown(
    config: Path, manifest: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    config.write_text(text)

    error = refused(manifest, capsys)

    assert f"{config}:2:1: this looks like a key" in error
    assert "set BAICAI_API_KEY, or BAICAI_API_KEY_FILE to a file" in error
    assert "hunter22" not in error


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, None),
        ({"HOME": ""}, None),
        ({"HOME": "/home/me"}, "/home/me/.config/batch-runner/config.yaml"),
        ({"HOME": "/home/me", "XDG_CONFIG_HOME": "/etc/x"}, "/etc/x/batch-runner/config.yaml"),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, "/h/.config/batch-runner/config.yaml"),
        ({"XDG_CONFIG_HOME": ""}, None),
    ],
)
def test_user_config_path_follows_the_xdg_standard(
    environment: dict[str, str], path: str | None
) -> None:
    found = user_config_path(environment)

    assert (found and str(found)) == path


def test_networks_and_kinds_come_from_the_user_config(
    manifest: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(
        "downloads: {allow_networks: [198.18.0.0/15]}\noutput: {kinds: [image, svg]}\n"
    )
    settings = shown(manifest, capsys)

    assert settings["downloads.allow_networks"] == f"198.18.0.0/15  (user config {config}:1)"
    assert settings["output.kinds"] == f"image, svg  (user config {config}:2)"


def test_output_folder_is_no_setting_of_the_user(
    manifest: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("output: {folder: here}\n")

    assert f"{config}:1:10: there is no key folder" in refused(manifest, capsys)


def test_limits_that_a_provider_documents_are_defaults(
    config: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = manifest.read_text().replace("limits: {in_flight: 7}\n", "provider: bfl\n")
    manifest.write_text(text)
    documented = shown(manifest, capsys)["limits.in_flight"]
    config.write_text("limits: {in_flight: 5}\n")
    by_user = shown(manifest, capsys)["limits.in_flight"]
    manifest.write_text(text + "limits: {in_flight: 7}\n")
    by_manifest = shown(manifest, capsys)["limits.in_flight"]

    assert documented == "24  (provider bfl)"
    assert by_user.startswith("5  (user config ")
    assert by_manifest.startswith("7  (")
