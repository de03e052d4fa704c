"""File system paths as UTF-8 bytes, whatever the encoding of the locale.

Python encodes a path in the locale's encoding. The same manifest then had one output folder when it
was run in a GBK terminal and another one when cron ran it, and was paid for twice. So every path
made of text is a `Utf8Path`. Bytes that are not UTF-8 are surrogates in its text (PEP 383), as in
Python's own paths.

What earlier versions or other programs named in a locale's encoding is found by `find_existing`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from typing import Self

from batch_runner.util.system import exact_command_line

#: Encodings in which names are looked up, besides UTF-8 and the locale's: the locale of a cron job
#: is not the one of the terminal. GB18030 includes GBK and GB2312.
_LEGACY_ENCODINGS = ("gb18030", "big5", "latin-1")


class Utf8Path(PosixPath):
    """A path whose bytes on the disk are its text in UTF-8.

    `str` returns the exact text. In a formatted string it is `utf8_text`, which can be stored and
    printed. Methods of pathlib that return paths may only be used if they are overridden here.
    """

    __slots__ = ()

    def __fspath__(self) -> bytes:  # type: ignore[override]  # open, os and sqlite3 accept bytes
        return encode_path(str(self))

    def __format__(self, spec: str) -> str:
        return format(utf8_text(self), spec)

    @classmethod
    def cwd(cls) -> Self:
        """Return the current directory."""
        return cls(decode_path(os.getcwdb()))  # noqa: PTH109  bytes

    def absolute(self) -> Self:
        """Return the absolute path; symbolic links and `..` stay."""
        return self if self.is_absolute() else self.cwd() / self

    def resolve(self, strict: bool = False) -> Self:  # noqa: FBT001, FBT002  as in pathlib
        """Return the absolute path without symbolic links and `..`."""
        return type(self)(decode_path(os.path.realpath(encode_path(str(self)), strict=strict)))

    def expanduser(self) -> Self:
        """Return the path with a leading ~ replaced by the home directory."""
        return type(self)(decode_path(os.path.expanduser(encode_path(str(self)))))  # noqa: PTH111

    def iterdir(self) -> Iterator[Self]:  # type: ignore[override]  # a generator in some versions
        """Yield the paths of everything in the folder."""
        for name in list_names(self):
            yield self / name

    def glob(self, pattern: str) -> Iterator[Self]:  # type: ignore[override]  # names only
        """Yield what is in the folder under a matching name; nothing if it cannot be listed."""
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            for path in self.iterdir():
                if fnmatchcase(path.name, pattern):
                    yield path


def encode_path(text: str) -> bytes:
    """Return the bytes of a path's text."""
    return text.encode("utf-8", "surrogateescape")


def decode_path(raw: bytes) -> str:
    """Return the text of a path's bytes."""
    return raw.decode("utf-8", "surrogateescape")


def list_names(folder: Path) -> Iterator[str]:
    """Yield the names of everything in a folder."""
    yield from map(decode_path, os.listdir(os.fsencode(folder)))  # noqa: PTH208  bytes


def list_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the name and the state of each file in a folder; of a symbolic link, its target's."""
    with os.scandir(os.fsencode(folder)) as entries:
        for entry in entries:
            if entry.is_file():
                yield decode_path(entry.name), entry.stat()


def child_bytes(folder: Path, name: str) -> bytes:
    """Return the bytes of a path in `folder`; faster than a path object, for many files."""
    return os.fsencode(folder) + b"/" + encode_path(name)


def native_path(text: str) -> Utf8Path:
    """Return the path of a text that Python decoded by the locale, such as sys.executable."""
    return Utf8Path(decode_path(os.fsencode(text)))


def plain_path(path: Path) -> Path:
    """Return a path of the standard library for the same file, for callers of the library."""
    return Path(os.fsdecode(path))


def utf8_text(path: str | Path) -> str:
    """Return a path's text for display and storage: valid UTF-8, but not always exact.

    A name in another encoding is decoded by a guess that is the same under every locale;
    `find_existing` finds it again.
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "/".join(map(_guess_text, text.split("/")))
    return text


def _guess_text(name: str) -> str:
    try:
        raw = encode_path(name)
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return name.encode("utf-8", "backslashreplace").decode()
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    return raw.decode("latin-1")


def is_utf8(text: str) -> bool:
    """Return whether the text of a path has only UTF-8 bytes."""
    return utf8_text(text) == text


def find_existing(path: str | Path, within: Path | None = None) -> Utf8Path:
    """Return the first of `path_variants` that exists, `path` itself if none does."""
    path = Utf8Path(path)
    if str(path).isascii():  # has no other variant, so need not be looked up
        return path
    return next((one for one in path_variants(path, within) if os.path.lexists(one)), path)


def path_variants(path: str | Path, within: Path | None = None) -> Iterator[Utf8Path]:
    """Yield `path`, then the path with its names in other encodings.

    The names of `within` and of the folders above it are not changed.
    """
    path = Utf8Path(path)
    yield path
    if not str(path).isascii():
        base = Utf8Path(path.anchor)
        if within is not None and path.is_relative_to(within):
            base = Utf8Path(within)
        for one in _variants_below(base, path.relative_to(base).parts):
            if one != path:
                yield one


def _variants_below(folder: Utf8Path, names: Sequence[str]) -> Iterator[Utf8Path]:
    for name in _name_variants(names[0]) if names else ():
        path = folder / name
        if len(names) == 1:
            yield path
        elif os.path.lexists(path):
            yield from _variants_below(path, names[1:])


def same_name(recorded: str, text: str) -> bool:
    """Return whether a name or path recorded under any locale is `text`."""
    return utf8_text(recorded) == utf8_text(text) or text in _name_variants(recorded)


def _name_variants(name: str) -> list[str]:
    """Return `name`, then `name` as its bytes are in each encoding that has its characters."""
    if name.isascii():
        return [name]
    found, text = {name: None}, utf8_text(name)
    for encoding in ("utf-8", sys.getfilesystemencoding(), *_LEGACY_ENCODINGS):
        with suppress(UnicodeEncodeError):
            found[decode_path(text.encode(encoding))] = None
    return list(found)


def utf8_environment() -> dict[str, str]:
    """Return the environment variables, decoded as UTF-8."""
    return {decode_path(name): decode_path(text) for name, text in os.environb.items()}


def command_arguments() -> list[str]:
    """Return the arguments of this process, each as from `decode_argument`."""
    words = sys.argv[1:]
    if sys.getfilesystemencoding() == "utf-8" or not words:
        return words
    # Not from sys.argv: under GBK, the C library decodes one Chinese word in 15 to characters that
    # Python cannot encode again.
    exact = (exact_command_line() or [])[-len(words) :]
    if [one.isascii() for one in exact] == [one.isascii() for one in words]:
        return [decode_argument(one) for one in exact]
    return [decode_argument(os.fsencode(one)) for one in words]


def decode_argument(raw: bytes) -> str:
    """Return a command-line argument as text.

    Bytes that are not UTF-8 are kept if they name an existing file, else decoded by the locale.
    """
    text = decode_path(raw)
    if not is_utf8(text) and not os.path.lexists(raw):
        with suppress(UnicodeDecodeError):
            return raw.decode(sys.getfilesystemencoding())
    return text
