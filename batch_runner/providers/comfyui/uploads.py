"""Input files on the servers: how they are named, and which server has which.

A file is named after its content, so another file of the same name neither replaces it nor is
mistaken for it. It is uploaded to every server that can be reached. The value that the journal
keeps may later be submitted to a server without the file, which then gets it from another one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

_UPLOAD = re.compile(r"(?:[^/]+/)*batch-runner-[0-9a-f]{32}[^/]*")
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}")


def upload_name(name: str, content: bytes) -> str:
    """Return the name under which a server stores `content`, with the extension of `name`."""
    digest = hashlib.sha256(content).hexdigest()[:32]
    dot = name.rfind(".")
    extension = name[dot:] if dot > 0 and _EXTENSION.fullmatch(name[dot:]) else ""
    return f"batch-runner-{digest}{extension.lower()}"


def is_upload(value: Any) -> bool:
    """Return whether a value of the params stands for an uploaded file."""
    return isinstance(value, str) and _UPLOAD.fullmatch(value) is not None


def uploads_in(graph: Mapping[str, Any]) -> list[str]:
    """Return the values in `graph` that stand for uploaded files, each once."""
    values = (value for node in graph.values() for value in node.get("inputs", {}).values())
    return list(dict.fromkeys(value for value in values if is_upload(value)))


def with_names(graph: dict[str, dict[str, Any]], names: Mapping[str, str]) -> None:
    """Replace values that stand for uploaded files by what a server calls them."""
    for node in graph.values():
        for field, value in node.get("inputs", {}).items():
            if isinstance(value, str) and value in names:
                node["inputs"][field] = names[value]
