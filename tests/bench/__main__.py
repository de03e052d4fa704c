"""`python -m tests.bench [ROW]`: print every row of the budget, some (cpu, pace), or the soak."""

from __future__ import annotations

import runpy
import signal
import sys
from pathlib import Path

from tests.bench import _picture

ON_ASKING = {"soak"}  # too long for every day


def main() -> None:
    """Run the rows that were asked for, each a module of this package, and draw the main ones."""
    here = Path(__file__).parent
    rows = sorted(path.stem for path in here.glob("*.py") if not path.stem.startswith("_"))
    wanted = sys.argv[1:] or [row for row in rows if row not in ON_ASKING]
    if unknown := [row for row in wanted if row not in rows]:
        sys.exit(f"no such row: {', '.join(unknown)}; wanted some of {', '.join(rows)}")
    # So that a bench that is told to end takes its processes and files along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    broken = [row for row in wanted if not measured(row)]
    _picture.draw(here / "rows.svg")
    if broken:
        sys.exit(f"could not be measured: {', '.join(broken)}")


def measured(row: str) -> bool:
    """Run a row and say whether it came to its end; what it misses is only printed."""
    sys.argv = [row]
    try:
        runpy.run_module(f"tests.bench.{row}", run_name="__main__")
    except SystemExit as stopped:
        print(f"{row}: {stopped}")
        return not stopped.code
    finally:
        print(flush=True)
    return True


if __name__ == "__main__":
    main()
