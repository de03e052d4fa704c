"""`python -m tests.bench [ROW]`: print every row of the budget, or one (polls, pace)."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path


def main() -> None:
    """Run the rows that were asked for, each a module of this package."""
    here = Path(__file__).parent
    rows = sorted(path.stem for path in here.glob("*.py") if not path.stem.startswith("_"))
    wanted = sys.argv[1:] or rows
    if unknown := [row for row in wanted if row not in rows]:
        sys.exit(f"no such row: {', '.join(unknown)}; wanted some of {', '.join(rows)}")
    for row in wanted:
        sys.argv = [row]
        runpy.run_module(f"tests.bench.{row}", run_name="__main__")


if __name__ == "__main__":
    main()
