"""Names of jobs, items and files that are safe on every file system, in any language."""

from __future__ import annotations

import re
import unicodedata

from batch_runner.media import EXTENSIONS, MEDIA_EXTENSIONS
from batch_runner.util.fs import MAX_FILE_NAME
from batch_runner.util.locale import tr
from batch_runner.util.text import CONTROLS

#: Longest suffix that is added to a name: number of the file, and extension.
LONGEST_ENDING = "-99.webp"
#: Longest name with its folders, in bytes: some systems allow 1024 for the whole path.
MAX_PATH = 800
#: Stands for a slash of a name's template, which makes a folder; one of a value is a mistake.
FOLDER_MARK = "\0"
#: Longest part of a prompt that is used in its id, in characters.
SLUG_LENGTH = 40

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"]
)
_REPORT_FILES = frozenset(["index", "index.html"])
_REFUSED_CHARACTERS = re.compile(r'[<>:"|?*]')
_CONTROLS = re.compile(rf"[{CONTROLS}\u200b-\u200f\ufeff]")
#: Joiners, which names cannot contain, and variation selectors.
_INVISIBLE = re.compile(
    "[\u200b-\u200f\u2060\ufeff\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_NOT_SLUG = re.compile(r"[\W_]+")


def slug(text: object, length: int = SLUG_LENGTH) -> str:
    """Return the words of `text` in lower case, joined by hyphens, for names of files.

    Letters of any script are kept, with their marks.

    The slug is cut to `length` characters, at the end of a word if possible. It is empty if the
    text has no letters or digits.
    """
    start = _start(text, length)
    if start.isascii():
        return _cut(_NOT_SLUG.sub("-", start.lower()), length)
    start = _INVISIBLE.sub("", start).replace("İ", "i")  # its lower case has a mark of its own
    words = _NOT_SLUG.sub(_between, start.lower()).strip("-")
    end = length
    while end and unicodedata.category(words[end : end + 1] or "-").startswith("M"):
        end -= 1  # not between a letter and its marks
    return _cut(words, end if len(words) > length else length)


def sent_slug(text: object, length: int = SLUG_LENGTH) -> str:
    """Return the slug for use in requests: without marks, which earlier versions left out.

    It must never change: the key of an item is a hash of what is sent.
    """
    return _cut(_NOT_SLUG.sub("-", _start(text, length).lower()), length)


def _start(text: object, length: int) -> str:
    start = unicodedata.normalize("NFC", str(text)[: length * 2])
    return start.replace("’", "").replace("'", "")


def _between(match: re.Match[str]) -> str:
    """Return what stands between two words: the marks of the first one's last letter, a hyphen."""
    run, marks = match[0], 0
    if match.start() == 0:
        return "-"
    while marks < len(run) and unicodedata.category(run[marks]) in ("Mn", "Mc"):
        marks += 1
    return run[:marks] + ("-" if marks < len(run) else "")


def _cut(words: str, length: int) -> str:
    words = words.strip("-")
    if len(words) <= length:
        return words
    cut = words[: length + 1].rfind("-")
    return words[: cut if cut >= length // 2 else length].strip("-")


def folded(name: str) -> str:
    """Return a form that is equal for names that some file system does not distinguish."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def without_ending(name: str) -> str:
    """Return `name` without an extension of media; files get the one of their content."""
    return name[: name.rindex(".")] if name.lower().endswith(MEDIA_EXTENSIONS) else name


def path_refusal(name: str) -> str | None:
    """Return why a file cannot have this name, with folders separated by slashes; None if it can.

    No folder can have the name of another item's file: files have an extension, folders none.
    """
    *folders, last = name.split("/")
    if not folders:
        return refusal(name)
    if name.startswith("/"):
        return tr("it is an absolute path, and files are stored in the output folder")
    for folder in folders:
        if folder in (".", ".."):
            return tr("a folder in it is {folder}", folder=folder)
        if folder.lower().endswith(EXTENSIONS):
            ending = folder[folder.rindex(".") :]
            return tr("a folder in it ends in {ending} like a file", ending=ending)
    parts = [refusal(folders[0]), *map(_part_refusal, folders[1:]), _part_refusal(last)]
    if len(name.encode()) > MAX_PATH:
        return tr(
            "with its folders it has {size} bytes, at most {max_path} are allowed",
            size=len(name.encode()),
            max_path=MAX_PATH,
        )
    return next(filter(None, parts), None)


def refusal(name: str) -> str | None:
    """Return why a file or folder cannot have this name in the output folder, None if it can."""
    if name.lower() in _REPORT_FILES:
        return tr("the report uses this name")
    return _part_refusal(name)


def _part_refusal(name: str) -> str | None:
    if not name.strip():
        return tr("the name is empty")
    if "/" in name or "\\" in name:
        return tr("it contains a slash")
    if name[0] in ".-":
        return tr("a file name cannot start with {name}", name=name[0])
    if _CONTROLS.search(name):
        return tr("it contains control or invisible characters")
    if sign := _REFUSED_CHARACTERS.search(name):
        return tr("{sign} is not allowed in file names on Windows", sign=sign[0])
    if name[0] == " " or name[-1] in " .":
        return tr("a file name cannot start or end with a space, or end with a dot")
    if name.split(".", 1)[0].rstrip().lower() in _DEVICES:
        return tr("Windows reserves this name for a device")
    size = len(name.encode()) + len(LONGEST_ENDING)
    if size > MAX_FILE_NAME:
        return tr(
            "with its extension it has {size} bytes, at most {max_file_name} are allowed",
            size=size,
            max_file_name=MAX_FILE_NAME,
        )
    return None
