"""The command `batch-runner`: errors become one sentence and an exit code here, and only here."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from batch_runner.cli import command

    code = command(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        # Nobody reads any more. What was to be kept is kept already.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
