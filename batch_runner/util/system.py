"""What differs between operating systems. Only this module uses what only Linux has.

Each function says what it does elsewhere. It imports next to nothing, because `__main__` needs it
before signal handlers are set, and on systems where the rest of the package cannot be imported.
"""

from __future__ import annotations

import os
import sys
import time

#: Bytes that `copy_bytes` holds in memory.
_COPIED_AT_ONCE = 1 << 20


def unsupported_system() -> str | None:
    """Return why this program cannot run on this operating system; None if it can."""
    if sys.platform != "win32":
        return None
    from batch_runner.util.locale import tr

    return tr(
        "Windows is not supported: install and run batch-runner in WSL, the Windows "
        "Subsystem for Linux (`wsl --install`)"
    )


def open_unnamed(folder: str | bytes | os.PathLike[str]) -> int | None:
    """Create a file without a name on the file system of `folder`, for reading and writing.

    It has the mode that the umask allows. Returns None where that is not possible.

    Raises:
        OSError: it failed for another reason than that unnamed files are not supported.
    """
    if not hasattr(os, "O_TMPFILE"):
        return None
    return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)


def link_unnamed(descriptor: int, target: bytes) -> None:
    """Give the file behind `descriptor`, made by `open_unnamed`, the name `target`.

    Raises:
        FileExistsError: the name is taken.
        OSError: it cannot be linked.
    """
    # `src_dir_fd` makes Python call linkat, which is needed to follow the link to the open file.
    os.link(f"/proc/self/fd/{descriptor}", target, src_dir_fd=descriptor, follow_symlinks=True)


def start_writeback(descriptor: int) -> None:
    """Let the kernel start to write a file to disk; elsewhere nothing, as the sync does it."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def copy_bytes(source: int, target: int) -> int:
    """Append the rest of one open file to another; return how many bytes.

    Some file systems then store the blocks once until one of the files is changed.

    Raises:
        OSError: they cannot be read or written.
    """
    copied = 0
    try:
        while count := _copy_range(source, target):
            copied += count
    except OSError:  # the file systems cannot, or there is an error that the loop below finds again
        pass
    while chunk := os.read(source, _COPIED_AT_ONCE):
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(target, rest) :]
        copied += len(chunk)
    return copied


def _copy_range(source: int, target: int) -> int:
    return os.copy_file_range(source, target, 1 << 30) if hasattr(os, "copy_file_range") else 0


def exact_command_line() -> list[bytes] | None:
    """Return the bytes of this process's command line; None where the system does not show them."""
    try:
        with open("/proc/self/cmdline", "rb") as file:  # noqa: PTH123  pathlib is slow to import
            return file.read().split(b"\0")[:-1]
    except OSError:
        return None


def suspended_seconds() -> float:
    """Return how long this computer has slept since it was started; 0 where that is unknown.

    The event loop's clock stands still meanwhile.
    """
    clocks = ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")
    if sys.platform == "darwin":
        clocks = ("CLOCK_MONOTONIC_RAW", "CLOCK_UPTIME_RAW")
    counting, standing = (getattr(time, name, None) for name in clocks)
    if counting is None or standing is None:
        return 0.0
    return time.clock_gettime(counting) - time.clock_gettime(standing)


def clock_id() -> str:
    """Return what identifies the monotonic clock: the start of the machine, and the namespace.

    A word of its own where the system shows neither.
    """
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123
            boot = file.read().strip()
        return f"{boot}/{os.stat('/proc/self/ns/time').st_ino}"  # noqa: PTH116
    except OSError:
        return "unknown"


def native_scheduler() -> str:
    """Return the flag of `schedule` for the system's own scheduler."""
    return "--launchd" if sys.platform == "darwin" else "--systemd"


def file_system_of(path: bytes) -> str | None:
    """Return the kind of file system that holds `path`, such as ext4; None if unknown.

    The path is absolute, without symbolic links.
    """
    wanted, kind = path + b"/", None
    longest = -1
    try:
        with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123  as above
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        fields, _, rest = line.partition(b" - ")
        point = fields.split(b" ")[4].replace(b"\\040", b" ").rstrip(b"/") + b"/"
        if wanted.startswith(point) and len(point) >= longest:
            longest, kind = len(point), rest.split(b" ")[0].decode("ascii", "replace")
    return kind
