from __future__ import annotations

import re
from pathlib import Path

import pytest

import batch_runner
from batch_runner.util import system

PACKAGE = Path(batch_runner.__file__).parent
#: What only Linux has.
LINUX_ONLY = re.compile(
    r"O_TMPFILE|posix_fadvise|posix_fallocate|fdatasync|renameat2|linkat\b|sched_getaffinity|"
    r"copy_file_range|memfd|pidfd|\bepoll|inotify|[\"']/proc\b|[\"']/sys\b"
)


def test_only_one_module_uses_what_only_linux_has() -> None:
    code = {
        path: [line.partition("#")[0] for line in path.read_text("utf-8").splitlines()]
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != Path(system.__file__)
    }

    assert [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path, lines in code.items()
        for line in lines
        if LINUX_ONLY.search(line)
    ] == []


def test_linux_is_supported() -> None:
    assert system.unsupported_system() is None


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="needs Linux")
def test_file_system_is_that_of_the_innermost_mount() -> None:
    assert system.file_system_of(b"/proc/self") == "proc"
    assert system.file_system_of(b"/") not in (None, "proc")
