"""Find the type of a file, and whether it is complete, without decoding it.

Only the structure is read, which takes microseconds. A file that was cut off anywhere is rejected.
Bytes after the end of the structure are allowed: generators append labels there. If the structure
does not mark its end, or is not known, the file is complete if its length is known.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress

from batch_runner.errors import FileNotAccepted, FileRejected
from batch_runner.media.types import (
    BINARY_ROW,
    DECODABLE,
    EXTENSIONS,
    MEDIA_EXTENSIONS,
    TEXT_ROW,
    TYPES,
    Kind,
    MediaType,
    Row,
    kind_of,
    rows_named,
)

__all__ = [
    "DECODABLE",
    "DEFAULT_KINDS",
    "EXTENSIONS",
    "MAYBE_ERROR_PAGE",
    "MEDIA_EXTENSIONS",
    "TYPES",
    "Kind",
    "MediaType",
    "check",
    "identify",
    "kind_of",
    "kind_refusal",
]

#: Bytes of a file's start that tell its type.
HEAD_BYTES = 4096
#: A file that no magic bytes mark and that is smaller is no result.
LEAST_BYTES = 16
#: Kinds that may be an error page instead of a result, so accepted only if the user says so.
MAYBE_ERROR_PAGE: tuple[Kind, ...] = ("text", "svg")
DEFAULT_KINDS: tuple[Kind, ...] = ("image", "video", "audio", "model", "other")

#: Control characters that text has in no encoding but UTF-16.
_CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def check(
    data: bytes | memoryview,
    *,
    length_known: bool = False,
    declared: Collection[str] = (),
    accepted: Collection[Kind] | None = None,
) -> MediaType:
    """Return the type of `data` after checking that it is complete.

    `length_known`: the length is the one that was announced or recorded. `declared`: MIME names and
    extensions that the service gave for the file. `accepted`: kinds; None: all.

    Raises:
        FileRejected: empty, cut off, or not of a declared type.
        FileNotAccepted: of another kind, or nothing tells whether it is complete.
    """
    if not data:
        raise FileRejected("the file is empty")
    row = _find(bytes(data[:HEAD_BYTES]), declared)
    name = row.type.name
    complete = row.is_complete(memoryview(data)) if row.is_complete else None
    if complete is False:
        raise FileRejected(f"the file is cut off or damaged ({name})")
    if (refused := kind_refusal(row.type, accepted)) is not None:
        raise refused
    if complete is None and not length_known:
        raise FileNotAccepted(
            f"the file ({name}) may be cut off: the server gave no length for it",
            reason="unknown-length",
        )
    return row.type


def kind_refusal(found: MediaType, accepted: Collection[Kind] | None) -> FileNotAccepted | None:
    """Return the error for a file of a kind that is not `accepted`; None accepts all."""
    if accepted is None or found.kind in accepted:
        return None
    return FileNotAccepted(
        f"the file is {found.name}; to accept it, write output.kinds: "
        f"[{', '.join([*accepted, found.kind])}]",
        reason="kind-not-accepted",
        certain=found.kind not in MAYBE_ERROR_PAGE,
    )


def identify(data: bytes | memoryview, declared: Collection[str] = ()) -> MediaType:
    """Return the type of `data`, complete or not."""
    for names in (declared, ()):
        with suppress(FileRejected):
            return _find(bytes(data[:HEAD_BYTES]), names).type
    return BINARY_ROW.type  # too few bytes to tell


def _find(head: bytes, declared: Collection[str]) -> Row:
    """Return the type that the bytes show, or else the declared one.

    Raises:
        FileRejected: it is declared as a type that its bytes would show.
    """
    named = rows_named(declared)
    candidates = (*named, *TYPES)
    found = next((row for row in candidates if row.magic and row.magic.match(head)), None)
    if found and found.type.kind not in MAYBE_ERROR_PAGE:
        return found
    is_text = found is not None or head.startswith(_UTF16) or not _CONTROLS.search(head)
    binary = [row for row in named if row.type.kind not in MAYBE_ERROR_PAGE]
    if is_text and binary and len(binary) == len(named):
        what = (found or TEXT_ROW).type.name
        raise FileRejected(f"the file is declared as {binary[0].type.name}, but is {what}")
    # Types that no bytes mark, such as CSV, are what they are declared to be.
    unmarked = [row for row in named if not row.magic and (row.type.kind == "text") is is_text]
    if unmarked and (found is None or found.type.kind == "text"):
        return unmarked[0]
    if not is_text and len(head) < LEAST_BYTES:
        raise FileRejected(f"the file has only {len(head)} bytes: {head.hex(' ')}")
    if binary and not is_text:
        raise FileRejected(
            f"the file is declared as {binary[0].type.name}, but begins with the bytes "
            f"{head[:8].hex(' ')}"
        )
    return found or (TEXT_ROW if is_text else BINARY_ROW)
