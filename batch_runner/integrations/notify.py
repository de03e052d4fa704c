"""Reports the end of a run: a command and notifications. Neither can fail the run."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from batch_runner.engine.summary import RunSummary
from batch_runner.integrations.child_environment import child_environment, encoded
from batch_runner.manifest import OnFinish
from batch_runner.util.paths import encode_path
from batch_runner.util.text import error_reason

log = logging.getLogger(__name__)

#: Before the sentence about a rehearsal.
REHEARSAL_PREFIX = "Rehearsal, nothing was paid: "
#: Timeouts in seconds: of the command, and of all notifications together.
COMMAND_SECONDS, NOTIFY_SECONDS = 600.0, 60.0


def send_notifications(
    on_finish: OnFinish,
    summary: RunSummary,
    sentence: str,
    *,
    report: Path,
    folder: Path,
    rehearsal: bool = False,
    secrets: Collection[str] = (),
    command_seconds: float = COMMAND_SECONDS,
    notify_seconds: float = NOTIFY_SECONDS,
) -> None:
    """Run the command and send the notifications of `on_finish`, if the run's result asks for it.

    They get `sentence` and the path of the `report`, the command also the counts; its working
    directory is `folder`, and no variable of its environment holds one of the `secrets`. Failures
    are logged, never raised.
    """
    if on_finish.when == "problems" and not summary.exit_code:
        return
    if on_finish.command:
        environment = _environment(summary, sentence, report, secrets, rehearsal=rehearsal)
        try:
            _run_command(on_finish.command, environment, folder, command_seconds)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.warning("on_finish.command failed: %s", error_reason(error))
    if on_finish.notify:
        body = f"{REHEARSAL_PREFIX if rehearsal else ''}{sentence}\n{report}"
        # apprise may hang; a daemon thread can be abandoned at exit.
        sender = threading.Thread(target=_notify, args=(on_finish.notify, body), daemon=True)
        sender.start()
        sender.join(notify_seconds)
        if sender.is_alive():
            log.warning("on_finish.notify did not end within %g s", notify_seconds)


def _environment(
    summary: RunSummary,
    sentence: str,
    report: Path,
    secrets: Collection[str],
    *,
    rehearsal: bool,
) -> dict[bytes, bytes]:
    ours = {
        "BATCH_RUNNER_REHEARSAL": "1" if rehearsal else "",
        "BATCH_RUNNER_SUMMARY": sentence,
        "BATCH_RUNNER_EXIT_CODE": str(int(summary.exit_code)),
        "BATCH_RUNNER_REPORT": str(report),
        "BATCH_RUNNER_FOLDER": str(report.parent),
    }
    ours |= {f"BATCH_RUNNER_{status.name}": str(count) for status, count in summary.counts.items()}
    return child_environment(secrets) | encoded(ours)


def _run_command(
    command: str, environment: dict[bytes, bytes], folder: Path, seconds: float
) -> None:
    """Run the user's command; its output goes to standard error, as stdout is for our answer."""
    with subprocess.Popen(  # noqa: S602  the user's own command, from the user's manifest
        encode_path(command),
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(seconds)
        except BaseException:
            with suppress(ProcessLookupError):  # end its child processes, too
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def _notify(addresses: list[str], body: str) -> None:
    try:
        import apprise

        sender = apprise.Apprise()
        invalid = [number for number, one in enumerate(addresses, 1) if not sender.add(one)]
        if invalid:  # by number: an address may contain a secret
            numbers = ", ".join(map(str, invalid))
            log.warning("on_finish.notify: not a valid address: entry %s", numbers)
        if len(invalid) < len(addresses) and not sender.notify(title="batch-runner", body=body):
            log.warning("on_finish.notify: not every notification was delivered")
    except ImportError:
        log.warning("on_finish.notify needs the extra `notify`: pip install 'batch-runner[notify]'")
    except Exception:  # noqa: BLE001  foreign code, and the run is over
        # Not the error: it may contain an address, and with it a secret.
        log.warning("on_finish.notify failed: apprise reported an error")
