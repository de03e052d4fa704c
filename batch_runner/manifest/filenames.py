"""Names of jobs, ids and files: made from any language, safe in any folder."""

from __future__ import annotations

import re
import unicodedata

from batch_runner.media import EXTENSIONS
from batch_runner.util.fs import MAX_FILE_NAME
from batch_runner.util.text import CONTROLS

#: Room kept for the number of an output and the longest extension.
LONGEST_ENDING = "-99.webp"
#: Characters of a prompt that go into its id.
SLUG_LENGTH = 40

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"]
)
_OURS = frozenset(["index", "index.html"])
_REFUSED_SIGNS = re.compile(r'[<>:"|?*]')
_CONTROLS = re.compile(rf"[{CONTROLS}\u200b-\u200f\ufeff]")
_ENDINGS = (*EXTENSIONS, ".jpeg")
_NOT_SLUG = re.compile(r"[\W_]+")


def slug(text: object, length: int = SLUG_LENGTH) -> str:
    """Return lower-case words joined by hyphens; letters of every script are kept.

    Cut at a word's end within `length` characters where there is one. Text without any letter or
    digit gives an empty slug.
    """
    start = str(text)[: length * 2]
    start = unicodedata.normalize("NFC", start).replace("’", "").replace("'", "")
    words = _NOT_SLUG.sub("-", start.lower()).strip("-")
    if len(words) <= length:
        return words
    cut = words[: length + 1].rfind("-")
    return words[: cut if cut >= length // 2 else length].strip("-")


def folded(name: str) -> str:
    """Return what names have in common that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def without_ending(name: str) -> str:
    """Return `name` without the ending of a picture or a film: files get the one they deserve."""
    return name[: name.rindex(".")] if name.lower().endswith(_ENDINGS) else name


def refusal(name: str) -> str | None:
    """Return why a file or folder cannot have this name, None when it can."""
    if not name.strip():
        return "a file needs a name, this one is empty"
    if "/" in name or "\\" in name:
        return "a slash leads to another folder, and files lie directly in the output folder"
    if name[0] in ".-":
        return f"a file name cannot start with {name[0]}"
    if _CONTROLS.search(name):
        return "it holds control or invisible characters"
    if sign := _REFUSED_SIGNS.search(name):
        return f"{sign[0]} is not allowed in file names on Windows"
    if name[0] == " " or name[-1] in " .":
        return "a file name cannot start or end with a space, or end with a dot"
    if name.split(".", 1)[0].rstrip().lower() in _DEVICES:
        return "Windows reserves this name for a device"
    if name.lower() in _OURS:
        return "the report has this name"
    size = len(name.encode()) + len(LONGEST_ENDING)
    if size > MAX_FILE_NAME:
        return f"with its ending it has {size} bytes, and a file name has at most {MAX_FILE_NAME}"
    return None
