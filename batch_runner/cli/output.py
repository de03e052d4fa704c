"""Printing. A reader that has closed its end is no error."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

from batch_runner.errors import Problem
from batch_runner.util.locale import encodable
from batch_runner.util.paths import encode_path


def print_line(text: str, *, error: bool = False) -> None:
    """Print a line on standard output, or on standard error."""
    stream = sys.stderr if error else sys.stdout
    with contextlib.suppress(OSError, ValueError):
        stream.write(encodable(text, stream) + "\n")
        stream.flush()


def print_file_content(text: str) -> None:
    """Print what is to be stored in a file: as UTF-8, unless a terminal shows it otherwise."""
    stream = sys.stdout
    if stream.isatty() and encodable(text, stream) == text:
        print_line(text)
        return
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
        stream.buffer.write(encode_path(text) + b"\n")
        stream.flush()


def warning_object(warning: Problem) -> dict[str, Any]:
    """Return a warning about a manifest for `--json`."""
    return {
        "path": warning.path,
        "line": warning.line,
        "column": warning.column,
        "message": warning.message,
        "hint": warning.hint,
    }


def print_json(value: Any) -> None:
    """Print one JSON object on a line of standard output."""
    print_line(json.dumps(value, ensure_ascii=True, default=str))
