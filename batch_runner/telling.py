"""The end of a run, told: a command and notifications, neither of which can fail the run."""

from __future__ import annotations

import logging
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from batch_runner.manifest import OnFinish
    from batch_runner.run import Summary

log = logging.getLogger(__name__)

#: Seconds that a command may take.
COMMAND_SECONDS = 600


def tell(
    on_finish: OnFinish, summary: Summary, sentence: str, *, report: Path, beside: Path
) -> None:
    """Tell how a run ended: `sentence`, the counts, and where the report is.

    `beside` is the folder that the command is relative to.
    """
    if on_finish.when == "trouble" and not summary.exit_code:
        return
    if on_finish.command:
        _command(on_finish.command, summary, sentence, report, beside)
    if on_finish.notify:
        _notify(on_finish.notify, sentence, report)


def _command(command: str, summary: Summary, sentence: str, report: Path, beside: Path) -> None:
    told = {
        "BATCH_RUNNER_VERDICT": sentence,
        "BATCH_RUNNER_EXIT_CODE": str(int(summary.exit_code)),
        "BATCH_RUNNER_REPORT": str(report),
        "BATCH_RUNNER_FOLDER": str(report.parent),
    }
    told |= {f"BATCH_RUNNER_{status.name}": str(count) for status, count in summary.counts.items()}
    # The key is the program's, not the command's.
    inherited = {name: text for name, text in os.environ.items() if "_API_KEY" not in name}
    try:
        subprocess.run(  # noqa: S602  the operator's own command, from the operator's manifest
            command,
            shell=True,
            cwd=beside,
            env=inherited | told,
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("on_finish.command failed: %s", error)


def _notify(addresses: list[str], sentence: str, report: Path) -> None:
    try:
        import apprise

        teller = apprise.Apprise()
        refused = [number for number, one in enumerate(addresses, 1) if not teller.add(one)]
        if refused:
            log.warning("on_finish.notify: entries %s are no addresses", refused)
        if not teller.notify(title="batch-runner", body=f"{sentence}\n{report}"):
            log.warning("on_finish.notify: not every notification was delivered")
    except ImportError:
        log.warning("on_finish.notify needs the extra `notify`: pip install 'batch-runner[notify]'")
    except Exception as error:  # noqa: BLE001  somebody else's code, and the run is over
        log.warning("on_finish.notify failed: %s", type(error).__name__)
