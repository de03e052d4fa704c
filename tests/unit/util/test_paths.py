"""Paths are UTF-8 bytes; no module leaves their encoding to the locale."""

from __future__ import annotations

import ast
import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch_runner.util.paths import (
    Utf8Path,
    child_bytes,
    decode_path,
    encode_path,
    find_existing,
    is_utf8,
    path_variants,
    same_name,
    utf8_text,
)

PACKAGE = Path(__file__).parents[3] / "batch_runner"
#: Everything that the program does with paths.
OPERATIONS = """
import os, shutil, sqlite3, sys
from batch_runner.util.paths import *

assert sys.getfilesystemencoding() == "ascii"
os.chdir(sys.argv[1])
folder = Utf8Path("马年") / "贺卡"
folder.mkdir(parents=True)
file = folder / "图.png"
file.write_text("马", "utf-8")
assert file.read_bytes() == "马".encode() and file.read_text("utf-8") == "马"
assert file.exists() and file.is_file() and folder.is_dir() and not file.is_symlink()
assert file.stat().st_size == file.lstat().st_size == 3
assert file.absolute() == Utf8Path.cwd() / file
assert list(folder.iterdir()) == list(folder.glob("*.png")) == [file]
assert list(folder.glob("*.jpg")) == list((folder / "无").glob("*")) == []
link = folder / "链接"
link.symlink_to(file.absolute())
assert link.resolve() == file.resolve() == file.absolute() and link.samefile(file)
assert file.with_name("另.png").parent == folder
new = folder / "新.png"
shutil.copyfile(file, new)
new.touch()
new.replace(new.with_name("二.png")).rename(new)
new.unlink()
os.close(os.open(file, os.O_RDONLY))
assert os.path.lexists(file) and os.access(file, os.R_OK) and not os.path.ismount(folder)
assert os.stat(child_bytes(folder, "图.png")).st_size == 3
assert shutil.disk_usage(folder).free
with sqlite3.connect(folder / "日志.sqlite") as journal:
    journal.execute("CREATE TABLE a (b)")
os.environb[b"HOME"] = encode_path(str(folder.absolute()))
assert Utf8Path("~/图.png").expanduser() == file.absolute()
assert utf8_environment()["HOME"] == str(folder.absolute())
assert command_arguments() == sys.argv[1:2] + ["输出"]
link.unlink()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Utf8Path:
    return Utf8Path(tmp_path)


def put(folder: Utf8Path, name: bytes) -> Utf8Path:
    path = folder / decode_path(name)
    path.touch()
    return path


def test_operations_use_utf_8_under_an_ascii_locale(tmp_path: Path) -> None:
    ascii_ = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    path = {"PYTHONPATH": str(PACKAGE.parent)}
    script, folder = tmp_path / "script.py", tmp_path / "folder"
    script.write_text(OPERATIONS, "utf-8")
    folder.mkdir()

    done = subprocess.run(
        [sys.executable, script, folder, "输出".encode()],
        env=ascii_ | path,
        capture_output=True,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.name for path in folder.rglob("*")} == {"马年", "贺卡", "图.png", "日志.sqlite"}


def test_path_keeps_bytes_that_are_not_utf_8(folder: Utf8Path) -> None:
    path = put(folder, b"\xba\xd8\xff")

    assert list(folder.iterdir()) == [path]
    assert bytes(path) == os.fsencode(folder) + b"/\xba\xd8\xff"
    assert copy.deepcopy(path) == path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain", "plain"),
        ("贺卡".encode(), "贺卡"),
        ("贺卡".encode("gbk"), "贺卡"),
        ("贺卡𠮷".encode("gb18030"), "贺卡𠮷"),
        (b"\xff", "ÿ"),
        ("马/".encode() + "贺卡".encode("gbk"), "马/贺卡"),
    ],
)
def test_formatted_path_is_valid_utf_8(name: bytes, text: str) -> None:
    path = Utf8Path(decode_path(name))

    assert f"{path}" == utf8_text(path) == text
    assert encode_path(str(path)) == name
    assert is_utf8(str(path)) is (name == text.encode())


def test_lone_surrogate_is_no_existing_file() -> None:
    assert utf8_text("a\ud800") == "a\\ud800"
    assert not is_utf8("a\ud800")
    assert find_existing("/\ud800") == Utf8Path("/\ud800")


@pytest.mark.parametrize("encoding", ["utf-8", "gbk", "gb18030", "big5"])
def test_name_in_a_legacy_encoding_is_found(folder: Utf8Path, encoding: str) -> None:
    there = put(folder, "馬年.png".encode(encoding))

    assert find_existing(folder / "馬年.png") == there
    assert find_existing("馬年.png", folder) == Utf8Path("馬年.png")  # of another folder
    assert find_existing(utf8_text(there)) == there


def test_name_in_latin_1_is_found(folder: Utf8Path) -> None:
    there = put(folder, "Grüße".encode("latin-1"))

    assert find_existing(folder / "Grüße") == there


def test_name_in_utf_8_is_preferred(folder: Utf8Path) -> None:
    put(folder, "贺卡".encode("gbk"))
    utf_8 = put(folder, "贺卡".encode())

    assert find_existing(folder / "贺卡") == utf_8


def test_folders_above_within_are_not_varied(folder: Utf8Path) -> None:
    other = folder / decode_path("项目".encode("gbk"))
    other.mkdir()
    put(other, "图".encode())

    assert find_existing(folder / "项目/图", folder / "项目") == folder / "项目/图"
    assert find_existing(folder / "项目/图", folder) == other / "图"


@pytest.mark.parametrize("name", ["out", "out/cards", "/out"])
def test_ascii_path_has_one_variant(name: str) -> None:
    assert list(path_variants(name)) == [Utf8Path(name)]


def test_name_recorded_in_any_encoding_is_the_same() -> None:
    misread = "/项目/贺卡".encode().decode("gbk")

    assert same_name("/a/贺卡", "/a/贺卡")
    assert same_name("/a/贺卡", decode_path(b"/a/" + "贺卡".encode("gbk")))
    assert same_name(misread, "/项目/贺卡")
    assert not same_name("/a/贺卡", "/a/贺年")
    assert not same_name("", "/a")


def test_child_bytes_are_the_bytes_of_the_path(folder: Utf8Path) -> None:
    assert child_bytes(folder, "马.png") == os.fsencode(folder / "马.png")


def test_folder_itself_has_one_variant(folder: Utf8Path) -> None:
    chinese = folder / "项目"

    assert list(path_variants(chinese, within=chinese)) == [chinese]


#: What encodes or decodes a path by the locale, as the modules call it.
BY_LOCALE = {
    *("os.fsencode", "os.fsdecode", "os.listdir", "os.scandir", "os.walk", "os.getcwd"),
    *(
        "os.readlink",
        "os.path.realpath",
        "os.path.abspath",
        "os.path.expanduser",
        "os.path.relpath",
    ),
    *("sys.argv", "click.Path", "tempfile.mkdtemp", "tempfile.mkstemp", "glob.glob"),
    *("Path", "PurePath", "PosixPath", "pathlib.Path"),
}
METHODS = {"rglob", "walk", "readlink", "as_uri", "home"}
ALLOWED = {
    "cli/options.py": {"os.fsencode", "click.Path"},
    # Python's own paths of the program's own files.
    "manifest/fingerprint.py": {"Path", "rglob"},
    "util/locale.py": {"Path"},
}
#: Calls that use `Path` as a type only.
TYPE_CALLS = {"isinstance", "cast"}


def locale_dependent(tree: ast.Module) -> set[str]:
    """Return what a module calls, or passes to a call, that depends on the locale."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found |= {ast.unparse(node), ast.unparse(node.value)} & BY_LOCALE
            found |= {node.attr} & METHODS
        elif isinstance(node, ast.Call):
            values = [node.func, *(word.value for word in node.keywords)]
            if ast.unparse(node.func) not in TYPE_CALLS:
                values += node.args
            found |= {ast.unparse(value) for value in values} & BY_LOCALE
    return found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from pathlib import Path\ndef f(path: Path) -> Path: return path / 'a'", set()),
        ("isinstance(path, Path)", set()),
        ("Path('a').exists()", {"Path"}),
        ("Path.cwd()", {"Path"}),
        ("list(map(Path, names))", {"Path"}),
        ("option(path_type=Path)", {"Path"}),
        ("option(type=click.Path())", {"click.Path"}),
        ("run(sys.argv[1:])", {"sys.argv"}),
        ("os.path.realpath(folder)", {"os.path.realpath"}),
        ("folder.rglob('*')", {"rglob"}),
    ],
)
def test_locale_dependent_calls_are_recognised(code: str, found: set[str]) -> None:
    assert locale_dependent(ast.parse(code)) == found


@pytest.mark.parametrize(
    "module",
    sorted(
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "util/paths.py" and path.relative_to(PACKAGE).parts[0] != "simulator"
    ),
)
def test_module_leaves_no_path_to_the_locale(module: str) -> None:
    found = locale_dependent(ast.parse((PACKAGE / module).read_text("utf-8")))
    assert found <= ALLOWED.get(module, set())
