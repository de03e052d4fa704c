"""Data as classic scripts: a page from `file://` cannot use fetch()."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from batch_runner.util.fs import replace_file

#: Characters that could end a script element, start a comment or tag, or end a line in old engines.
_ESCAPES = str.maketrans(
    {
        "<": "\\u003c",
        ">": "\\u003e",
        "&": "\\u0026",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
)


def script_json(value: Any) -> str:
    """Return `value` as a JavaScript expression that is inert inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def write_script(folder: Path, name: str, value: Any) -> str:
    """Write `value` as a script that gives it to the page as `name`; return the file's name.

    The name contains a hash of the content, so that a page never loads the data of another.
    """
    text = f"(window.batchReport??={{}})[{script_json(name)}]={script_json(value)};\n"
    # UTF-8 has no lone surrogates, which a prompt may have; as an escape they are JavaScript.
    content = text.encode("utf-8", "backslashreplace")
    path = folder / f"{name}-{sha256(content).hexdigest()[:12]}.js"
    if not (path.exists() and path.stat().st_size == len(content)):
        # Not synced, there are hundreds: after a power cut the next report writes a new one.
        with replace_file(path, durable=False, mode=0o600) as out:
            out.write(content)
    return path.name
