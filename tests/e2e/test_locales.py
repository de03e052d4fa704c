"""Commands under locales of other encodings: the same files on the disk, paid for once."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.e2e.conftest import KEY, Service
from tests.harness.commands import PATIENCE
from tests.harness.sweeps import some_of

Name = str | bytes
Locale = dict[str, str]
BuildLocale = Callable[[Locale], Path]

SOURCES = Path("/usr/share/i18n/locales")
#: The locale of a cron job, and those of terminals. Python uses UTF-8 under C unless told not to.
CRON: Locale = {}
UTF_8 = {"LC_ALL": "C.UTF-8"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
GBK = {"LC_ALL": "zh_CN.GBK"}
GB18030 = {"LC_ALL": "zh_CN.GB18030"}
LATIN_1 = {"LC_ALL": "en_US.ISO-8859-1"}
LOCALES = {
    "cron": CRON,
    "utf-8": UTF_8,
    "ascii": ASCII,
    "gbk": GBK,
    "gb18030": GB18030,
    "latin-1": LATIN_1,
}
#: The UTF-8 bytes of 鯀 are characters of the C library's GBK that Python's GBK lacks.
MANIFEST, FOLDER, JOB = "清单鯀久.yaml", "输出", "新年贺卡"
ITEMS = ("骏马-1", "鯀久-2")
FILES = {f"{item}.png".encode() for item in ITEMS}
#: A `crontab` that stores its input in the file $STORE.
CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then cat "$STORE" 2>/dev/null || { echo "no crontab for x" >&2; exit 1; }
else cat > "$STORE"; fi
"""


@dataclass
class Home:
    """A folder with a manifest and Chinese names, and a simulator."""

    folder: Path
    service: Service
    environment: dict[bytes, bytes]

    def run(
        self, *words: Name, locale: Locale, cwd: Name = "."
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command under a locale; arguments of type `str` are passed as UTF-8."""
        given = {name.encode(): text.encode() for name, text in locale.items()}
        return subprocess.run(
            [sys.executable, "-m", "batch_runner", *map(as_bytes, words)],
            env=self.environment | given,
            cwd=self.path(cwd),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )

    def write(
        self,
        more: str = "",
        *,
        params: str = '{"6": {text: "{{ prompt }}"}}',
        name: str = "{{ id }}",
    ) -> None:
        items = "".join(f"  - {{id: {item}, prompt: 一匹马 {item}}}\n" for item in ITEMS)
        self.folder.joinpath(MANIFEST).write_text(
            f"workflow: year_of_the_horse_greeting_card\nparams: {params}\njob: {JOB}\n"
            f"output: {{folder: {FOLDER}, name: '{name}'}}\nlimits: {{rate: 50/s}}\n"
            f"polling: {{first: 200ms, shortest: 100ms}}\n{more}prompts:\n{items}",
            encoding="utf-8",
        )

    def path(self, *names: Name) -> bytes:
        """Return the path of something in this folder."""
        return b"/".join([os.fsencode(self.folder), *map(as_bytes, names)])

    def listed(self, *names: Name) -> set[bytes]:
        """Return the names in a folder."""
        return set(os.listdir(self.path(*names)))  # noqa: PTH208  bytes

    def pictures(self, *names: Name) -> set[bytes]:
        return {one for one in self.listed(*names) if one.endswith(b".png")}

    def rename(self, old: bytes, new: bytes) -> None:
        os.rename(self.path(old), self.path(new))  # noqa: PTH104  bytes

    def paid(self) -> list[int]:
        """Return how many tasks were created for each item."""
        return list(self.service.paid().values())


def as_bytes(name: Name) -> bytes:
    return name.encode() if isinstance(name, str) else name


def in_gbk(name: str) -> bytes:
    return name.encode("gb18030")


@pytest.fixture(scope="session")
def locales(tmp_path_factory: pytest.TempPathFactory) -> BuildLocale:
    """Return a function that builds a locale on first use and returns the folder of all."""
    folder = tmp_path_factory.mktemp("locales")

    def make(locale: Locale) -> Path:
        name = locale.get("LC_ALL", "C")
        if not name.startswith("C") and not (folder / name).exists():
            language, charmap = name.split(".")
            if not ((SOURCES / language).exists() and shutil.which("localedef")):
                pytest.skip("needs the sources of locales: apt install locales")
            arguments = ["-i", language, "-f", charmap, str(folder / name)]
            subprocess.run(["localedef", *arguments], check=True, capture_output=True)
        return folder

    return make


@pytest.fixture
def home(tmp_path: Path, service: Service, locales: BuildLocale) -> Home:
    environment = {
        "PATH": os.environ["PATH"],
        "XDG_STATE_HOME": str(tmp_path / "状态"),
        "BAICAI_BASE_URL": service.url,
        "BAICAI_API_KEY": KEY,
        "LOCPATH": str(locales(CRON)),
    }
    kept = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
    environment |= {name: os.environ[name] for name in kept if name in os.environ}
    folder = tmp_path / "项目"
    folder.mkdir()
    given = {os.fsencode(name): os.fsencode(text) for name, text in environment.items()}
    made = Home(folder, service, given)
    made.write()
    return made


@pytest.mark.parametrize("name", some_of(LOCALES, each=2))
def test_run_of_any_locale_is_continued_by_cron(
    home: Home, locales: BuildLocale, name: str
) -> None:
    locales(LOCALES[name])

    first = home.run("run", MANIFEST, locale=LOCALES[name])
    second = home.run("run", MANIFEST, locale=CRON)

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert home.pictures(FOLDER) == FILES
    assert home.listed() == {FOLDER.encode(), MANIFEST.encode()}
    assert home.paid() == [1] * len(ITEMS)


@pytest.mark.timeout(300)
def test_file_names_are_the_same_under_every_locale(home: Home, locales: BuildLocale) -> None:
    home.folder.joinpath("照片鯀.jpg").write_bytes(b"a wedding")
    home.folder.joinpath("数据鯀.csv").write_text("id,prompt\n行鯀-1,一匹马\n", "utf-8")
    home.write(
        "items_from: 数据鯀.csv\nfiles: {photo: 照片鯀.jpg}\n"
        "on_finish: {command: 'echo \"$BATCH_RUNNER_FOLDER 鯀\" >> 完成鯀.txt'}\n",
        params='{"6": {text: "{{ prompt }}"}, "7": {image: "{{ photo }}"}}',
    )
    given = home.listed()
    for locale in (GBK, ASCII, CRON, LATIN_1, UTF_8, GB18030):
        locales(locale)
        done = home.run("run", MANIFEST, "--metrics", "指标鯀.prom", locale=locale)
        assert done.returncode == 0, done.stderr

        made = home.listed() - given
        assert made == {FOLDER.encode(), "完成鯀.txt".encode(), "指标鯀.prom".encode()}
        assert home.pictures(FOLDER) == FILES | {"行鯀-1.png".encode()}
        assert b"registry.sqlite" in home.listed("../状态/batch-runner")
    assert home.paid() == [1] * 3
    (upload,) = home.service.ledger()["uploads"]
    assert unquote(upload["name"]) == "照片鯀.jpg"
    told = home.folder.joinpath("完成鯀.txt").read_text("utf-8")
    assert told == f"{home.folder / FOLDER} 鯀\n" * 6
    metrics = home.folder.joinpath("指标鯀.prom").read_text("utf-8")
    assert f'folder="{home.folder / FOLDER}"' in metrics


@pytest.mark.parametrize("name", ["gbk", "cron"])
def test_folder_with_gbk_names_is_continued(home: Home, locales: BuildLocale, name: str) -> None:
    locales(LOCALES[name])
    home.run("run", MANIFEST, locale=UTF_8)
    before = home.listed(FOLDER)
    for item in ITEMS:
        old, new = f"{FOLDER}/{item}.png".encode(), in_gbk(f"/{item}.png")
        home.rename(old, FOLDER.encode() + new)
    home.rename(FOLDER.encode(), in_gbk(FOLDER))

    verified = home.run("verify", MANIFEST, locale=LOCALES[name])
    again = home.run("run", MANIFEST, locale=LOCALES[name])
    renamed = home.run("status", MANIFEST, "--output", in_gbk(FOLDER), locale=LOCALES[name])

    assert (verified.returncode, again.returncode) == (0, 0), verified.stderr + again.stderr
    assert renamed.returncode == 0, renamed.stderr
    assert home.listed() == {in_gbk(FOLDER), MANIFEST.encode()}
    assert home.listed(in_gbk(FOLDER)) == before
    assert home.service.ledger()["totals"]["results"] == len(ITEMS)
    assert home.paid() == [1] * len(ITEMS)


def test_job_recorded_under_gbk_is_continued(home: Home) -> None:
    home.run("run", MANIFEST, locale=CRON)
    path = home.folder / FOLDER / ".batch/journal.sqlite"
    misread = [text.encode().decode("gbk") for text in (JOB, str(home.folder / FOLDER))]
    with closing(sqlite3.connect(path)) as journal:
        journal.execute("UPDATE job SET name = ?, folder = ?", misread)
        journal.commit()
    shutil.copyfile(path, path.with_name("copy"))
    path.with_name("copy").replace(path)  # another inode, the recorded place

    again = home.run("run", MANIFEST, locale=CRON)

    assert again.returncode == 0, again.stderr
    assert home.paid() == [1] * len(ITEMS)


def test_arguments_in_gbk_are_understood(home: Home, locales: BuildLocale) -> None:
    locales(GBK)
    home.service.set_faults("moderation:submit:times=1")
    typed = ("--output", in_gbk("新的"))

    first = home.run("run", MANIFEST, *typed, locale=GBK)
    retried = [
        home.run("retry", MANIFEST, *typed, in_gbk(item), locale=GBK).returncode for item in ITEMS
    ]
    home.environment[b"BATCH_RUNNER_OUTPUT"] = in_gbk("新的")
    again = home.run("run", MANIFEST, locale=GBK)

    assert (first.returncode, again.returncode) == (1, 0), first.stderr + again.stderr
    assert sorted(retried) == [0, 2]  # one of them was rejected
    assert home.listed() == {"新的".encode(), MANIFEST.encode()}
    assert home.paid() == [1] * len(ITEMS)


def test_scheduled_run_uses_the_same_folder(
    home: Home, locales: BuildLocale, tmp_path: Path
) -> None:
    locales(GBK)
    crontab = tmp_path / "bin/crontab"
    crontab.parent.mkdir()
    crontab.write_text(CRONTAB)
    crontab.chmod(0o755)
    key = tmp_path / "密钥"
    key.write_text(KEY)
    home.environment |= {b"STORE": home.path("../store")}
    home.environment[b"PATH"] = os.fsencode(crontab.parent) + b":" + home.environment[b"PATH"]
    words = ("--at", "01:30", "--install", "--yes", "--key-file", str(key), "--output", "鯀久")

    first = home.run("run", MANIFEST, "--output", "鯀久", locale=GBK)
    scheduled = home.run("schedule", MANIFEST, *words, locale=GBK)
    line = tmp_path.joinpath("store").read_text("utf-8").splitlines()[1]
    night = subprocess.run(
        ["/bin/sh", "-c", line.split(maxsplit=5)[5].encode()],
        env={b"PATH": b"/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
    )

    assert (first.returncode, scheduled.returncode) == (0, 0), scheduled.stderr
    assert shlex.quote(f"{home.folder}/鯀久") in line
    assert (night.returncode, night.stderr) == (0, b"")
    assert home.pictures("鯀久") == FILES
    assert home.paid() == [1] * len(ITEMS)


@pytest.mark.parametrize("name", ["ascii", "gbk"])
def test_schedule_prints_utf_8_into_a_pipe(home: Home, locales: BuildLocale, name: str) -> None:
    locales(LOCALES[name])
    words = ("--at", "01:30", "--rehearse", "--output", "鯀久")

    crontab = home.run("schedule", MANIFEST, *words, locale=LOCALES[name])
    units = home.run("schedule", MANIFEST, *words, "--systemd", locale=LOCALES[name])

    for done in (crontab, units):
        assert done.returncode == 0
        assert f"{home.folder}/鯀久" in done.stdout.decode()


@pytest.mark.parametrize("name", some_of(["gbk", "ascii", "latin-1"], each=3))
def test_output_in_another_encoding_fails_no_command(
    home: Home, locales: BuildLocale, name: str
) -> None:
    locales(LOCALES[name])
    home.service.set_faults("lose_answer:submit:times=1")
    home.folder.joinpath("选择").write_text("骏马-1\n鯀久-2\n", "utf-8")
    export = ("export", MANIFEST, "--picks", "选择", "--to", "导出")
    for code, words in (
        (0, ("plan", MANIFEST)),
        (1, ("run", MANIFEST)),
        (1, ("status", MANIFEST)),
        (1, ("status", MANIFEST, "--json")),
        (1, ("verify", MANIFEST)),
        (1, ("resolve", MANIFEST)),
        (0, ("report", MANIFEST)),
        (1, export),
        (0, ("init", "新.yaml", "--workflow", "工作流", "--field", "6.text")),
        (2, ("plan", "无.yaml")),
        (0, ("simulate", "--help")),  # contains an ellipsis
    ):
        done = home.run(*words, locale=LOCALES[name])
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), (words, done)
    assert home.listed("导出") == {*home.pictures(FOLDER), b"prompts.json"}


def test_name_too_long_as_utf_8_is_refused_unpaid(home: Home, locales: BuildLocale) -> None:
    locales(GBK)
    long = "马" * 86  # 172 bytes as GBK, 258 as UTF-8

    output = home.run("run", MANIFEST, "--output", f"{long}/out", locale=GBK)
    home.write(f"defaults: {{long: {long}}}\n", name="{{ long }}")
    item = home.run("run", MANIFEST, locale=GBK)

    assert (output.returncode, item.returncode) == (2, 2)
    assert home.listed() == {MANIFEST.encode()}
    assert home.paid() == []


@pytest.mark.parametrize("name", ["gbk", "cron"])
def test_current_directory_may_be_named_in_gbk(home: Home, locales: BuildLocale, name: str) -> None:
    locales(LOCALES[name])
    os.mkdir(home.path(in_gbk("目录")))  # noqa: PTH102  bytes
    home.rename(MANIFEST.encode(), in_gbk("目录/清单.yaml"))

    for words in (("run", in_gbk("清单.yaml")), ("run", "清单.yaml"), ("report", "清单.yaml")):
        done = home.run(*words, locale=LOCALES[name], cwd=in_gbk("目录"))
        assert done.returncode == 0, done.stderr

    assert home.listed(in_gbk("目录")) == {in_gbk("清单.yaml"), FOLDER.encode()}
    assert home.pictures(in_gbk("目录"), FOLDER) == FILES
    assert home.paid() == [1] * len(ITEMS)


def test_manifest_named_in_gbk_needs_a_job_name(home: Home, locales: BuildLocale) -> None:
    locales(GBK)
    text = home.folder.joinpath(MANIFEST).read_text("utf-8").replace(f"job: {JOB}\n", "")
    home.folder.joinpath(MANIFEST).write_text(text, "utf-8")
    home.rename(MANIFEST.encode(), in_gbk("清单.yaml"))

    done = home.run("run", in_gbk("清单.yaml"), locale=GBK)

    assert done.returncode == 2
    assert "请加一行 job: 并写一个名称，例如 清单" in done.stderr.decode("gbk")
    assert home.paid() == []
