"""The log file of a run: secrets, and a disk that takes nothing."""

from __future__ import annotations

import io
import logging
import sys
import time
from pathlib import Path

import pytest

from batch_runner.integrations.log_files import run_log
from batch_runner.jobdir.paths import JobFolder


def a_logger(name: str) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.propagate = False  # pytest's own handler raises
    return logger


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    found = JobFolder(tmp_path)
    found.prepare()
    return found


def test_secrets_are_in_no_line_nor_traceback(
    folder: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = a_logger("test-secrets")
    with run_log(folder, secrets={"sk-1", "sk-1-longer"}, quiet=False, logger=logger):
        logger.warning("the key sk-1-longer, the password sk-1")
        try:
            raise ValueError("sk-1")
        except ValueError:
            logger.exception("failed")

    (path,) = folder.logs.glob("run-*.log")
    for text in (path.read_text(), capsys.readouterr().err):
        assert "the key [key], the password [key]" in text
        assert "sk-1" not in text


def test_full_log_disk_is_said_once_and_the_run_goes_on(
    folder: JobFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the redacted text's original, and not for each of 60 records."""
    monkeypatch.setattr(time, "strftime", lambda *_: "run-full.log")
    (folder.logs / "run-full.log").symlink_to("/dev/full")
    logger = a_logger("test-full-disk")
    with run_log(folder, secrets={"sk-1"}, quiet=False, logger=logger):
        for _ in range(60):
            logger.info("the key sk-1" * 1000)

    said = capsys.readouterr().err
    assert said == "WARNING: the log file is incomplete: No space left on device\n"


def test_record_that_cannot_be_formatted_prints_no_traceback(
    folder: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = a_logger("test-record")
    with run_log(folder, secrets=set(), quiet=True, logger=logger):
        logger.info("%d", "sk-1")
        logger.info("later")

    (path,) = folder.logs.glob("run-*.log")
    assert "later" in path.read_text()
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "sk-1" not in said


def test_closed_standard_error_does_not_end_the_run(
    folder: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda *_: "run-full.log")
    (folder.logs / "run-full.log").symlink_to("/dev/full")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    logger = a_logger("test-closed")
    with run_log(folder, secrets=set(), quiet=False, logger=logger):
        logger.error("x")
