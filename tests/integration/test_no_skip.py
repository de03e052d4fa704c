"""A skipped test fails under TEST_NO_SKIP=1."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tests

pytestmark = pytest.mark.slow

HEAD = "import pytest\n"
IN_A_TEST = HEAD + "def test_it(): pytest.importorskip('no_such_module')\n"
BY_A_MARK = HEAD + "@pytest.mark.skipif(True, reason='no browser')\ndef test_it(): pass\n"
A_MODULE = HEAD + "pytest.importorskip('no_such_module')\n"
EXPECTED_FAILURE = HEAD + "@pytest.mark.xfail\ndef test_it(): assert False\n"


def run_pytest(folder: Path, code: str, no_skip: str) -> tuple[int, str]:
    """Run a test module with this project's hooks; return the exit status and the last line."""
    (folder / "test_one.py").write_text(code)
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "tests.conftest",
                "-p",
                "no:cacheprovider",
            ),
            *("-c", "/dev/null", "--rootdir", str(folder), str(folder / "test_one.py")),
        ],
        cwd=Path(tests.__file__).parents[1],
        env={"TEST_NO_SKIP": no_skip},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        pytest.param(IN_A_TEST, "1 failed", id="in-a-test"),
        pytest.param(BY_A_MARK, "1 error", id="by-a-mark"),
        pytest.param(A_MODULE, "1 error", id="a-module"),
    ],
)
def test_skipped_test_fails_under_test_no_skip(tmp_path: Path, code: str, outcome: str) -> None:
    without, _ = run_pytest(tmp_path, code, "")
    with_no_skip, last = run_pytest(tmp_path, code, "1")

    assert without in (0, 5)  # 5: nothing was collected
    assert with_no_skip != 0
    assert re.match(outcome, last)


def test_expected_failure_passes_under_test_no_skip(tmp_path: Path) -> None:
    assert run_pytest(tmp_path, EXPECTED_FAILURE, "1")[0] == 0
