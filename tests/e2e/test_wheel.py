"""The wheel, built from the source distribution and installed alone."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from batch_runner.cli.examples import EXAMPLES

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment with the wheel and its dependencies."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build(REPOSITORY, "sdist", folder)
    shutil.unpack_archive(next(folder.glob("*.tar.gz")), folder / "source", filter="data")
    build(next((folder / "source").iterdir()), "wheel", folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = folder.glob("venv/lib/python*/site-packages")
    shutil.unpack_archive(next(folder.glob("*.whl")), site, "zip")
    # The dependencies; what is in the folder itself comes first.
    (site / "dependencies.pth").write_text(f"import site; site.addsitedir({PURELIB!r})\n")
    return folder / "venv/bin/python"


PURELIB = sysconfig.get_path("purelib")


def build(source: Path, kind: str, target: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target],
        cwd=source,
        check=True,
        capture_output=True,
    )


@pytest.mark.slow
def test_wheel_has_the_examples(python: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            [python, "-P", *words], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    package = run("-c", "import batch_runner; print(batch_runner.__file__)")
    for name in EXAMPLES:
        run("-m", "batch_runner", "init", "--example", name)

    assert Path(package.strip()).is_relative_to(python.parents[1])
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    read = {Path(file) for example in EXAMPLES.values() for file in example.files}
    assert written == {Path(f"{name}.yaml") for name in EXAMPLES} | read
    for path in written:
        assert (tmp_path / path).read_bytes() == (REPOSITORY / "jobs" / path).read_bytes()


@pytest.mark.slow
def test_wheel_has_no_pictures_of_the_readme(python: Path) -> None:
    (site,) = python.parents[1].glob("lib/python*/site-packages")

    assert not list(site.glob("batch_runner/**/*.png"))
    assert not (site / "jobs").exists()
