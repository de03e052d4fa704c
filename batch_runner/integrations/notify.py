"""The end of a run, told: a command and notifications, neither of which can fail the run."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from batch_runner.engine.summary import RunSummary
from batch_runner.manifest import OnFinish

log = logging.getLogger(__name__)

#: Before the sentence about a run that was played against the simulator.
REHEARSED = "Rehearsal, nothing was paid: "
#: Seconds that a command, and all notifications together, may take.
COMMAND_SECONDS, NOTIFY_SECONDS = 600.0, 60.0


def tell(
    on_finish: OnFinish,
    summary: RunSummary,
    sentence: str,
    *,
    report: Path,
    beside: Path,
    rehearsal: bool = False,
    command_seconds: float = COMMAND_SECONDS,
    notify_seconds: float = NOTIFY_SECONDS,
) -> None:
    """Tell how a run ended: `sentence`, the counts, and where the report is.

    `beside` is the folder that the command is relative to. A `rehearsal` is told as one. Nothing is
    raised: the run is over.
    """
    if on_finish.when == "trouble" and not summary.exit_code:
        return
    if on_finish.command:
        told = _environment(summary, sentence, report, rehearsal=rehearsal)
        try:
            _command(on_finish.command, told, beside, command_seconds)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            log.warning("on_finish.command failed: %s", error)
    if on_finish.notify:
        # Somebody else's code: it may hang, and a thread that is left behind harms nobody.
        words = (on_finish.notify, f"{REHEARSED if rehearsal else ''}{sentence}\n{report}")
        teller = threading.Thread(target=_notify, args=words, daemon=True)
        teller.start()
        teller.join(notify_seconds)
        if teller.is_alive():
            log.warning("on_finish.notify did not end within %g s", notify_seconds)


def _environment(
    summary: RunSummary, sentence: str, report: Path, *, rehearsal: bool
) -> dict[str, str]:
    told = {
        "BATCH_RUNNER_REHEARSAL": "1" if rehearsal else "",
        "BATCH_RUNNER_VERDICT": sentence,
        "BATCH_RUNNER_EXIT_CODE": str(int(summary.exit_code)),
        "BATCH_RUNNER_REPORT": str(report),
        "BATCH_RUNNER_FOLDER": str(report.parent),
    }
    told |= {f"BATCH_RUNNER_{status.name}": str(count) for status, count in summary.counts.items()}
    # The key is the program's, not the command's.
    return {name: text for name, text in os.environ.items() if "_API_KEY" not in name} | told


def _command(command: str, told: dict[str, str], beside: Path, seconds: float) -> None:
    """Run the operator's command; what it prints goes to standard error, which is no answer."""
    with subprocess.Popen(  # noqa: S602  the operator's own command, from the operator's manifest
        command,
        shell=True,
        cwd=beside,
        env=told,
        stdin=subprocess.DEVNULL,
        stdout=2,
        start_new_session=True,
    ) as process:
        try:
            code = process.wait(seconds)
        except BaseException:
            with suppress(ProcessLookupError):  # with all that it started
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)


def _notify(addresses: list[str], body: str) -> None:
    try:
        import apprise

        teller = apprise.Apprise()
        refused = [number for number, one in enumerate(addresses, 1) if not teller.add(one)]
        if refused:
            log.warning("on_finish.notify: entries %s are no addresses", refused)
        if len(refused) < len(addresses) and not teller.notify(title="batch-runner", body=body):
            log.warning("on_finish.notify: not every notification was delivered")
    except ImportError:
        log.warning("on_finish.notify needs the extra `notify`: pip install 'batch-runner[notify]'")
    except Exception as error:  # noqa: BLE001  somebody else's code, and the run is over
        log.warning("on_finish.notify failed: %s", type(error).__name__)
