"""`schedule` in subprocesses: its crontab lines and units, and that cron and systemd run them."""

from __future__ import annotations

import os
import plistlib
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from batch_runner.config.environment import BLOCKS, OUTPUT_VARIABLE, VARIABLES, limit_variable
from batch_runner.errors import UsageError
from batch_runner.integrations.crontab import crontab_line
from batch_runner.integrations.schedule import ScheduleEntry, parse_days, unit_name
from batch_runner.integrations.systemd import systemd_units
from tests.e2e.conftest import KEY, Service, write_manifest
from tests.harness.commands import PATIENCE, PROGRAM, run_command

HOSTILE = 'it\'s 100% "new" $HOME; 马年'
#: A crontab program that stores the crontab in a file; without one it prints cron's message.
CRONTAB = """#!/bin/sh
if [ "$1" = -l ]; then
  [ -e "$STORE.broken" ] && { echo "must be privileged" >&2; exit 1; }
  [ -e "$STORE" ] || { echo "no crontab for $USER" >&2; exit 1; }
  cat "$STORE"
else
  cat > "$STORE"
fi
"""
LAUNCHCTL = "#!/bin/sh\nexit 1\n"
#: Runs the command line for a user without HOME and without an entry in the user database.
HOMELESS = (
    "import os, pwd, sys\n"
    "def getpwuid(number):\n    raise KeyError(number)\n"
    "pwd.getpwuid = getpwuid\n"
    "import runpy\n"
    "runpy.run_module('batch_runner', run_name='__main__')\n"
)
SYSTEMCTL = '#!/bin/sh\necho "$@" >> "$STORE"\n'


class Machine:
    """A home directory with a job, and the programs that a test puts on PATH."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = home / "store"
        self.bin = home / "bin"
        self.bin.mkdir()
        self.manifest = home / HOSTILE / "cards.yaml"
        self.manifest.parent.mkdir()
        write_manifest(self.manifest, 2)
        self.key = home / HOSTILE / "key"
        self.key.write_text(KEY)
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(home),
            "STORE": str(self.store),
            "XDG_CONFIG_HOME": str(home / "config"),
        }

    def has(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)
        self.environment["PATH"] = f"{self.bin}:/usr/bin:/bin"

    def arguments(self, *more: str) -> list[str]:
        known = ["schedule", str(self.manifest), "--at", "01:30", "--key-file", str(self.key)]
        return [*known, *more]

    def schedule(self, *more: str) -> subprocess.CompletedProcess[str]:
        return run_command(*self.arguments(*more), environment=self.environment)

    def on_a_terminal(self, answer: str, *more: str) -> str:
        """Install on a terminal and return what it showed."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [*PROGRAM, *self.arguments("--install", *more)],
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        os.write(ours, answer.encode())
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(PATIENCE) == 0
        return shown.decode()

    def run_as_cron(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of crontab as cron does: its own rule for %, a bare environment, HOME."""
        command = line.split(maxsplit=5)[5]
        assert len(command.encode()) < 999
        before_input = re.split(r"(?<!\\)%", command)[0]
        kept = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
        bare = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LOGNAME": "someone"}
        return subprocess.run(
            ["/bin/sh", "-c", before_input.replace("\\%", "%")],
            env=bare | {name: os.environ[name] for name in kept if name in os.environ},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_installed_line_runs_the_job_as_cron_would(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)

    done = machine.schedule("--rehearse", "--install", "--yes")

    assert done.returncode == 0, done.stderr
    marker, line = machine.store.read_text().splitlines()
    assert marker == f"# batch-runner: {machine.manifest}"
    assert line.startswith("30 1 * * * ")
    assert done.stdout == f"{marker}\n{line}\n"  # it was shown
    run = machine.run_as_cron(line)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    out = machine.manifest.parent / "out/cards.rehearsal"
    assert sorted(path.name for path in out.glob("*.png")) == ["card-0.png", "card-1.png"]


def test_line_refers_to_the_key_and_does_not_show_it(machine: Machine, service: Service) -> None:
    machine.environment["BAICAI_BASE_URL"] = service.url

    done = machine.schedule("--output", str(machine.home / "elsewhere"))

    assert KEY not in done.stdout + done.stderr
    run = machine.run_as_cron(done.stdout.splitlines()[1])
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert len(list((machine.home / "elsewhere").glob("*.png"))) == 2
    assert sum(service.paid().values()) == 2


def test_settings_the_run_would_refuse_are_not_scheduled(machine: Machine) -> None:
    machine.environment |= {
        "BATCH_RUNNER_MAX_SUBMISSIONS": "three hundred",
        "BATCH_RUNNER_UNTIL": "6.30",
    }

    done = machine.schedule("--output", str(machine.home / "out"))

    assert done.returncode == 2
    assert 'BATCH_RUNNER_MAX_SUBMISSIONS "three hundred"' in done.stderr
    assert 'BATCH_RUNNER_UNTIL "6.30"' in done.stderr
    assert not done.stdout


def test_scheduled_command_inherits_env_settings(machine: Machine, service: Service) -> None:
    config, state = machine.home / HOSTILE / "config", machine.home / HOSTILE / "state"
    (config / "batch-runner").mkdir(parents=True)
    (config / "batch-runner/config.yaml").write_text("limits: {price: 0.12 CNY}\n")
    machine.environment |= {
        "BAICAI_BASE_URL": service.url,
        "BAICAI_API_KEY": KEY,
        "BATCH_RUNNER_MAX_SUBMISSIONS": "1",
        "BATCH_RUNNER_RATE": " 5/s ",
        "BATCH_RUNNER_POLL_RATE": "",
        "XDG_CONFIG_HOME": str(config),
        "XDG_STATE_HOME": str(state),
    }

    done = machine.schedule("--output", str(machine.home / "out"))

    assert KEY not in done.stdout + done.stderr
    assert "BATCH_RUNNER_MAX_SUBMISSIONS=1, as this shell" in done.stderr
    assert "BATCH_RUNNER_POLL_RATE" not in done.stdout + done.stderr
    line = done.stdout.splitlines()[1]
    run = machine.run_as_cron(line)
    assert run.returncode == 3
    assert "0.12 CNY" in run.stderr
    assert sum(service.paid().values()) == 1
    assert (state / "batch-runner" / "registry.sqlite").exists()
    shown = machine.run_as_cron(f"{line} --show-config").stdout
    assert "limits.rate = 5/s  (environment)" in shown


@pytest.mark.parametrize("kind", [(), ("--systemd",)])
def test_every_variable_of_a_run_is_inherited(kind: tuple[str, ...], machine: Machine) -> None:
    names = (*VARIABLES, "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    read = dict.fromkeys(names, 'it\'s 5% "$x"')
    del read[OUTPUT_VARIABLE]  # it becomes --output
    good = {"rate": "5/s", "in_flight": "5", "poll_rate": "5/s", "max_submissions": "5"}
    good |= {"reuse": "ask", "keep_awake": "no", "max_cost": "30 CNY"}
    good |= {"run_for": "8h", "until": "06:30", "proxy": "http://p:1", "trust_env": "yes"}
    read |= {limit_variable(name): good[name] for name in BLOCKS}
    machine.environment |= read

    done = machine.schedule(*kind)

    assert done.returncode == 0
    if kind:
        lines = [one for one in done.stdout.splitlines() if one.startswith("Environment=")]
        words = [shlex.split(one)[0].removeprefix("Environment=") for one in lines]
        words = [one.replace("%%", "%") for one in words]
    else:
        words = shlex.split(done.stdout.splitlines()[1].replace("\\%", "%"))
    assert {f"{name}={text}" for name, text in read.items()} <= set(words)


@pytest.mark.parametrize(
    "address",
    [
        "https://someone:sk-a-secret@service.test",
        "https://service.test/?key=sk-a-secret",
        "https://service.test/\n* * * * * touch sk-a-secret",
    ],
)
@pytest.mark.parametrize("kind", [(), ("--systemd",)])
def test_url_with_a_secret_or_a_line_break_is_refused(
    address: str, kind: tuple[str, ...], machine: Machine
) -> None:
    machine.environment["BAICAI_BASE_URL"] = address

    done = machine.schedule(*kind)

    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_password_of_a_proxy_is_not_written_into_a_schedule(machine: Machine) -> None:
    machine.environment["BATCH_RUNNER_PROXY"] = "http://me:pw-secret@proxy.example:1"

    done = machine.schedule()

    assert done.returncode == 2
    assert "write it as network.proxy into" in done.stderr
    assert "pw-secret" not in done.stdout + done.stderr


def test_second_install_replaces_only_its_own_line(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    others = "# mine\x0c\nMAILTO=me\n0 0 * * * echo 50\\% \xa0 batch_runner run"
    machine.store.write_text(others)  # without a line's end
    other = machine.home / "other.yaml"
    write_manifest(other, 1)

    machine.schedule("--install", "--yes")
    first = machine.store.read_text()
    machine.schedule("--install", "--yes")
    again = machine.store.read_text()
    machine.manifest, manifest = other, machine.manifest
    machine.schedule("--install", "--yes")
    machine.manifest = manifest
    machine.schedule("--install", "--yes", "--days", "mon-fri")

    assert first == again
    assert first.startswith(others + "\n")
    lines = machine.store.read_text().removeprefix(others + "\n").splitlines()
    assert lines[0] == f"# batch-runner: {manifest}"
    assert lines[1].startswith("30 1 * * 1,2,3,4,5 ")
    assert lines[2] == f"# batch-runner: {other}"
    assert lines[3].startswith("30 1 * * * ")
    assert len(lines) == 4


def test_unreadable_crontab_is_not_written(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    machine.store.write_text("0 0 * * * backup\n")
    machine.store.with_suffix(".broken").touch()

    done = machine.schedule("--install", "--yes")

    assert done.returncode == 2
    assert "must be privileged" in done.stderr
    assert machine.store.read_text() == "0 0 * * * backup\n"


def test_install_without_a_terminal_needs_yes(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)

    done = machine.schedule("--install")

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert not machine.store.exists()


def test_install_on_a_terminal_shows_and_asks(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)

    refused = machine.on_a_terminal("n\n")
    assert not machine.store.exists()
    machine.on_a_terminal("y\n")

    assert refused.index("30 1 * * *") < refused.index("Install this in your crontab?")
    assert "nothing was changed" in refused
    assert "30 1 * * *" in machine.store.read_text()


def test_missing_key_file_is_reported(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    machine.key.unlink()

    shown, installed = machine.schedule(), machine.schedule("--install", "--yes")

    assert (shown.returncode, installed.returncode) == (0, 2)
    assert "--key-file" in shown.stderr
    assert "--key-file" in installed.stderr
    assert not machine.store.exists()


@pytest.mark.parametrize("kind", ["empty", "folder"])
def test_key_file_without_a_key_is_not_installed(kind: str, machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    machine.key.write_text("\n")
    if kind == "folder":
        machine.key.unlink()
        machine.key.mkdir()

    result = machine.schedule("--install", "--yes")

    assert result.returncode == 2
    assert "contains no key" in result.stderr
    assert not machine.store.exists()


def test_manifest_with_an_invalid_item_is_not_installed(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    text = machine.manifest.read_text()
    machine.manifest.write_text(text.replace("id: card-1", 'id: "-x"'))

    result = machine.schedule("--install", "--yes")

    assert result.returncode == 2
    assert "cards.yaml:" in result.stderr
    assert not machine.store.exists()


@pytest.mark.parametrize(("flags", "program"), [((), "crontab"), (("--systemd",), "systemctl")])
def test_missing_program_is_named(flags: tuple[str, ...], program: str, machine: Machine) -> None:
    done = machine.schedule("--install", "--yes", *flags)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"batch-runner: {program} is not installed here")
    assert "Traceback" not in done.stderr
    assert not (machine.home / "config").exists()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_installed_units_are_valid_and_match_the_line(machine: Machine) -> None:
    machine.has("systemctl", SYSTEMCTL)
    machine.environment["XDG_STATE_HOME"] = HOSTILE
    flags = ("--output", str(machine.home / HOSTILE / "$out"), "--days", "mon-fri")

    done = machine.schedule("--systemd", "--install", "--yes", *flags)

    assert done.returncode == 0, done.stderr
    folder = machine.home / "config/systemd/user"
    units = {f"batch-runner-cards.{kind}" for kind in ("service", "timer")}
    assert {path.name for path in folder.iterdir()} == units
    assert machine.store.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --now batch-runner-cards.timer",
    ]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, folder.iterdir())],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    text = (folder / "batch-runner-cards.service").read_text()
    words = shlex.split(next(one for one in text.splitlines() if "ExecStart" in one)[10:])
    line = machine.schedule(*flags).stdout.splitlines()[1].replace("\\%", "%")
    typed = shlex.split(line)
    typed = typed[typed.index(sys.executable) :]
    assert [one.replace("%%", "%").replace("$$", "$") for one in words] == typed
    assert f"LoadCredential=BAICAI_API_KEY:{machine.key}".replace("%", "%%") in text
    assert KEY not in text


def test_units_of_another_manifest_are_not_replaced(machine: Machine) -> None:
    machine.has("systemctl", SYSTEMCTL)
    machine.schedule("--systemd", "--install", "--yes")
    other = machine.home / "cards.yaml"
    write_manifest(other, 1)
    machine.manifest = other

    done = machine.schedule("--systemd", "--install", "--yes")

    assert done.returncode == 2
    assert "another name" in done.stderr
    service = machine.home / "config/systemd/user/batch-runner-cards.service"
    assert str(other) not in service.read_text()


@pytest.mark.parametrize("flags", [("--at", "24:00"), ("--at", "1:30"), ("--days", "mon-funday")])
def test_invalid_time_or_day_is_refused(flags: tuple[str, str], machine: Machine) -> None:
    done = machine.schedule(*flags)

    assert done.returncode == 2
    assert flags[1] in done.stderr
    assert done.stdout == ""


def test_time_is_the_machines_in_any_shell_time_zone(machine: Machine) -> None:
    zones = []
    for zone in ("UTC", "Asia/Shanghai"):
        machine.environment["TZ"] = zone
        zones.append(re.findall(r"UTC[+-]\d{4}", machine.schedule().stderr))

    assert zones[0] == zones[1] != []


def an_entry(*, at: str = "01:30", days: str = "daily", job: str = "cards") -> ScheduleEntry:
    command = ["/bin/true", "-m", "batch_runner", "run", "/cards.yaml"]
    manifest = Path("/cards.yaml")
    return ScheduleEntry(job=job, manifest=manifest, command=command, at=at, days=parse_days(days))


@pytest.mark.parametrize(
    ("at", "days", "cron", "systemd"),
    [
        ("01:30", "daily", "30 1 * * * ", "OnCalendar=*-*-* 01:30:00\n"),
        (
            "00:05",
            "mon-fri",
            "5 0 * * 1,2,3,4,5 ",
            "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 00:05:00\n",
        ),
        ("23:59", "Sun, sat", "59 23 * * 6,0 ", "OnCalendar=Sat,Sun *-*-* 23:59:00\n"),
        ("08:08", "fri-mon", "8 8 * * 1,5,6,0 ", "OnCalendar=Mon,Fri,Sat,Sun *-*-* 08:08:00\n"),
    ],
)
def test_time_and_days_in_crontab_and_systemd(at: str, days: str, cron: str, systemd: str) -> None:
    entry = an_entry(at=at, days=days)

    assert crontab_line(entry).startswith(cron)
    assert systemd in systemd_units(entry)["batch-runner-cards.timer"]


def test_different_job_names_have_different_units() -> None:
    names = [unit_name(job) for job in ("马年", "羊年", "a b", "a-b", "a/b", "cards")]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"batch-runner-[A-Za-z0-9_.-]+", name) for name in names)


def test_line_too_long_for_cron_is_refused() -> None:
    long = ["/bin/true", "x" * 1000]
    entry = ScheduleEntry(job="cards", manifest=Path("/cards.yaml"), command=long, at="01:30")

    with pytest.raises(UsageError, match="--systemd"):
        crontab_line(entry)


def test_installed_agent_runs_the_job_as_launchd_would(machine: Machine, service: Service) -> None:
    machine.has("launchctl", LAUNCHCTL)
    machine.environment["BAICAI_BASE_URL"] = service.url

    done = machine.schedule("--launchd", "--install", "--yes", "--days", "mon-fri")

    assert done.returncode == 0, done.stderr
    path = machine.home / "Library/LaunchAgents/batch-runner-cards.plist"
    assert done.stdout.encode() == path.read_bytes()
    assert KEY not in done.stdout + done.stderr
    assert f"launchctl bootstrap gui/{os.getuid()} {path}" in done.stderr
    agent = plistlib.loads(path.read_bytes())
    assert agent["Label"] == "batch-runner-cards"
    days = [(one["Weekday"], one["Hour"], one["Minute"]) for one in agent["StartCalendarInterval"]]
    assert days == [(day, 1, 30) for day in range(1, 6)]
    assert Path(agent["StandardErrorPath"]).parent.is_dir()
    kept = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "PYTHONPATH")
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(machine.home)}
    run = subprocess.run(
        agent["ProgramArguments"],
        env=bare
        | {name: os.environ[name] for name in kept if name in os.environ}
        | agent["EnvironmentVariables"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert sum(service.paid().values()) == 2


def test_second_agent_replaces_its_own_and_no_other(machine: Machine) -> None:
    machine.has("launchctl", LAUNCHCTL)
    machine.schedule("--launchd", "--install", "--yes")
    again = machine.schedule("--launchd", "--install", "--yes", "--days", "sun")
    other = machine.home / "cards.yaml"
    write_manifest(other, 1)
    machine.manifest = other

    refused = machine.schedule("--launchd", "--install", "--yes")

    path = machine.home / "Library/LaunchAgents/batch-runner-cards.plist"
    out = f"launchctl bootout gui/{os.getuid()}/batch-runner-cards; launchctl bootstrap"
    assert out in again.stderr
    assert refused.returncode == 2
    assert "another name" in refused.stderr
    agent = plistlib.loads(path.read_bytes())
    assert agent["StartCalendarInterval"] == [{"Hour": 1, "Minute": 30, "Weekday": 0}]
    assert str(other) not in agent["ProgramArguments"]


def test_agent_asks_on_a_terminal_first(machine: Machine) -> None:
    machine.has("launchctl", LAUNCHCTL)

    refused = machine.on_a_terminal("n\n", "--launchd")

    assert "Library/LaunchAgents/batch-runner-cards.plist?" in refused
    assert not (machine.home / "Library").exists()


def test_launchd_without_launchctl_writes_nothing(machine: Machine) -> None:
    done = machine.schedule("--launchd", "--install", "--yes")

    assert done.returncode == 2
    assert "launchctl is not installed here" in done.stderr
    assert not (machine.home / "Library").exists()


def test_two_schedulers_are_refused(machine: Machine) -> None:
    done = machine.schedule("--launchd", "--systemd")

    assert (done.returncode, done.stdout) == (2, "")
    assert "one of --systemd and --launchd" in done.stderr


@pytest.mark.parametrize("flag", ["", "--systemd", "--launchd"])
@pytest.mark.parametrize("home", [None, "", "somewhere"])
def test_missing_home_is_reported(machine: Machine, flag: str, home: str | None) -> None:
    del machine.environment["HOME"], machine.environment["XDG_CONFIG_HOME"]
    if home is not None:
        machine.environment["HOME"] = home

    done = subprocess.run(
        [
            *(sys.executable, "-c", HOMELESS, "schedule", str(machine.manifest)),
            *("--at", "01:30", *flag.split()),
        ],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "no home directory" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_time_zones_of_the_crontab_are_said(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    machine.store.write_text("TZ=Asia/Tokyo\nCRON_TZ = 'Asia/Shanghai'\n0 0 * * * backup\n")

    shown = machine.schedule("--install", "--yes")
    machine.store.write_text(machine.store.read_text() + "CRON_TZ=Europe/Paris\n")
    again = machine.schedule()

    assert "CRON_TZ=Asia/Shanghai" in shown.stderr
    assert "TZ=Asia/Tokyo" in shown.stderr
    assert again.stderr == shown.stderr.replace("installed; to remove it: crontab -e\n", "")
    assert "CRON_TZ" not in machine.schedule("--systemd").stderr


def test_time_zone_set_to_nothing_is_the_machines(machine: Machine) -> None:
    machine.has("crontab", CRONTAB)
    machine.store.write_text("#CRON_TZ=Asia/Tokyo\nCRON_TZ=Asia/Tokyo\nCRON_TZ=\n")

    assert "CRON_TZ" not in machine.schedule().stderr
