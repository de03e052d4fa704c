from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.doctor.account import check_address, check_key
from batch_runner.doctor.checks import Check, Level, Subject

KEY = "sk-a-key-that-must-not-leak"


def check_of(**environment: str) -> Check:
    (found,) = check_key("baicai", Subject(environment=environment))
    assert KEY not in found.seen + found.advice
    return found


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "BAICAI_API_KEY"
    path.write_text(f"{KEY}\r\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"\xef\xbb\xbf%s", "byte order mark"),
        (b"\xff\xfes\0k\0", "byte order mark"),
        (b'"%s"\n', "quotes"),
        ("“%s”".encode(), "quotes"),
        (b"%s and more", "whitespace"),
        (b"\xe9%s", "key"),
        (b"BAICAI_API_KEY=%s", "assignment"),
        (b"Bearer %s", "Bearer"),
        (b"%s\n%s\n", "several lines"),
        (b"\n", "empty"),
    ],
)
def test_misspelt_key_file_is_a_problem(key_file: Path, content: bytes, advice: str) -> None:
    key_file.write_bytes(content.replace(b"%s", KEY.encode()))

    found = check_of(BAICAI_API_KEY_FILE=str(key_file))

    assert (found.level, found.seen) == (Level.PROBLEM, str(key_file))
    assert advice in found.advice


def test_misspelt_variable_is_a_problem() -> None:
    found = check_of(BAICAI_API_KEY=f"'{KEY}'")

    assert (found.level, found.seen) == (Level.PROBLEM, "BAICAI_API_KEY")


@pytest.mark.parametrize(
    ("mode", "level"), [(0o600, Level.OK), (0o400, Level.OK), (0o640, Level.WARNING)]
)
@pytest.mark.parametrize("source", ["file", "credential"])
def test_key_file_that_others_can_read_is_a_warning(
    key_file: Path, mode: int, level: Level, source: str
) -> None:
    key_file.chmod(mode)
    named = {"BAICAI_API_KEY_FILE": str(key_file)}
    if source == "credential":
        named = {"CREDENTIALS_DIRECTORY": str(key_file.parent)}

    found = check_of(**named)

    assert (found.level, found.seen) == (level, str(key_file))


def test_variable_is_used_before_the_file(key_file: Path) -> None:
    found = check_of(BAICAI_API_KEY=KEY, BAICAI_API_KEY_FILE=str(key_file))

    assert found.level is Level.OK
    assert found.seen == "BAICAI_API_KEY (and not BAICAI_API_KEY_FILE, which is set, too)"


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("", Level.OK),
        ("https://service.test", Level.OK),
        ("http://127.0.0.1:8000", Level.OK),
        ("http://service.test", Level.WARNING),
        ("https://docs.baicainfer.com", Level.PROBLEM),
        ("https://me:sk-secret@service.test", Level.PROBLEM),
    ],
)
def test_address_is_judged(url: str, level: Level) -> None:
    (found,) = check_address("baicai", Subject(environment={"BAICAI_BASE_URL": url}))

    assert found.level is level
    assert "sk-secret" not in found.seen + found.advice


def test_own_servers_are_checked_one_by_one_without_a_key() -> None:
    environment = {"COMFYUI_BASE_URL": "http://127.0.0.1:8188, http://gpu-2:8188, gpu-3"}
    subject = Subject(environment=environment)

    addresses = list(check_address("comfyui", subject))
    assert [one.level for one in addresses] == [Level.OK, Level.OK, Level.PROBLEM]
    assert [one.level for one in check_key("comfyui", subject)] == [Level.OK]
    with_key = Subject(environment=environment | {"COMFYUI_API_KEY": "a-key"})
    assert [one.level for one in check_address("comfyui", with_key)] == [
        Level.OK,
        Level.WARNING,
        Level.PROBLEM,
    ]
