"""Printing. A reader that has closed its end is no error."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from batch_runner.util.locale import encodable


def print_line(text: str, *, error: bool = False) -> None:
    """Print a line on standard output, or on standard error."""
    stream = sys.stderr if error else sys.stdout
    with contextlib.suppress(OSError, ValueError):
        stream.write(encodable(text, stream) + "\n")
        stream.flush()


def print_json(value: Any) -> None:
    """Print one JSON object on a line of standard output."""
    print_line(json.dumps(value, ensure_ascii=True, default=str))
