"""Runs the code blocks of a Markdown page, from top to bottom, in one folder.

The first word after the three backticks is the language, the others say what is to be done:

- ```` ```console ````: each command (after `$ `) is run by one bash for the whole page, and prints
  what is shown below it (`…` stands for anything, durations may differ).
- ```` ```yaml ````: a manifest, or a part of one, which is added to a minimal one: it is planned;
  or the description of a provider, which is read.
- ```` ```json ````, ```` ```python ````: it is parsed.
- ```` ```text ````, ```` ```dockerfile ````: nothing.
- ```` ```yaml cards.yaml ````, ```` ```csv names.csv ````: the block is also stored under this
  name, for the commands after it.
- ```` ```console no-test ````: nothing is done; tests list these blocks with the reason.

`check_page` does all of this, and is all that a test needs.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt

from batch_runner.errors import ManifestError
from batch_runner.manifest import load
from batch_runner.providers import PROVIDERS
from batch_runner.providers.declarative.reading import read_description
from tests.harness.commands import simulator_process
from tests.harness.shell_session import ShellSession, steps

#: The port that the pages give the simulator; another one is used in tests.
SHOWN_PORT = "8765"
NOT_CHECKED = ("text", "dockerfile", "csv")
_NO_VARIABLES = ("include", "exclude")


@dataclass(frozen=True)
class Block:
    """A code block: its language, the other words of its first line, its text, its line."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def is_tested(self) -> bool:
        return "no-test" not in self.words

    @property
    def file(self) -> str | None:
        """Return the name under which the block is stored, None if it is not."""
        return next((word for word in self.words if word != "no-test"), None)


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page; an indented one with a command is `console`."""
    found = []
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type not in ("fence", "code_block"):
            continue
        assert token.map is not None
        words = token.info.split()
        if token.type == "code_block":
            words = ["console" if re.search(r"^\$ ", token.content, re.MULTILINE) else "text"]
        first = token.map[0] + (2 if token.type == "fence" else 1)
        language = words[0] if words else ""
        found.append(Block(language, tuple(words[1:]), token.content, first))
    return found


def check_page(
    page: Path, folder: Path, *, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Run the blocks of a page in `folder`; return the first thing that is wrong, with its line.

    `environment` is added to that of the shell, in which the service is a simulator.
    """
    tested = [block for block in blocks(page) if block.is_tested]
    port = _free_port()
    with ExitStack() as stack:
        shell = None
        if any(block.language == "console" for block in tested):
            service = stack.enter_context(_simulator())
            shell = stack.enter_context(ShellSession(folder, service | dict(environment or {})))
        for block in tested:
            if block.file is not None:
                path = folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
            shown = replace(block, text=block.text.replace(SHOWN_PORT, str(port)))
            if problem := _problem(shown, folder, shell):
                return [f"{page.name}:{block.line + problem[0]}: {problem[1]}"]
    return []


def _problem(block: Block, folder: Path, shell: ShellSession | None) -> tuple[int, str] | None:
    """Return the first line in a block that is wrong (0: the first), and why."""
    match block.language:
        case "console":
            assert shell is not None
            for step in steps(block.text):
                if problem := shell.run(step):
                    return step.line, problem
        case "yaml":
            return _plan(block, folder)
        case "json":
            for number, line in enumerate(block.text.splitlines()):
                try:
                    json.loads(line)
                except ValueError as error:
                    return number, str(error)
        case "python":
            try:
                ast.parse(block.text)
            except SyntaxError as error:
                return (error.lineno or 1) - 1, str(error)
        case language if language not in NOT_CHECKED:
            return 0, f"unknown language of a code block: {language!r}"
    return None


def _plan(block: Block, folder: Path) -> tuple[int, str] | None:
    """Expand all items of a manifest, completed where it is only a part of one."""
    if "sheet:" in block.text:
        _write_table(folder / "table.xlsx")
    path = folder / "example.yaml"
    if block.text.startswith("description: 1"):
        path.write_text(block.text, encoding="utf-8")
        return _problem_of_description(path)
    path.write_text(_completed(block.text), encoding="utf-8")
    try:
        providers = PROVIDERS if "provider:" in block.text else None
        with _at_home(folder):
            for _ in load(path, providers=providers).items():
                pass
    except ManifestError as error:
        return error.problems[0].line - 1, str(error)
    return None


@contextmanager
def _at_home(folder: Path) -> Iterator[None]:
    """Use the config folder of the page's shell, which may hold descriptions of providers."""
    before = dict(os.environ)
    os.environ["HOME"] = str(folder)
    os.environ.pop("XDG_CONFIG_HOME", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _problem_of_description(path: Path) -> tuple[int, str] | None:
    try:
        read_description(path)
    except ManifestError as error:
        return error.problems[0].line - 1, str(error)
    return None


def _write_table(path: Path) -> None:
    """Write the file that an example of `sheet` reads."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Cards"
    book.active.append(["id", "name"])
    book.active.append(["anna", "Anna"])
    book.save(path)


def _completed(text: str) -> str:
    """Return a manifest with the required keys that it lacks."""
    try:
        keys: dict[str, Any] = yaml.safe_load(text)
    except yaml.YAMLError:
        return text  # `load` says what is wrong
    table = {"encoding": "names.csv", "sheet": "table.xlsx"}  # the first is shown on the page
    for name in table.keys() & keys:
        text += f"\nprompts_from: {table[name]}"
        keys["prompts_from"] = ...
    if not keys.keys() & {"prompts", "matrix", "prompts_from", "items_from", "files_from"}:
        text += "\nprompts: [a horse, a foal]"
        keys["prompts"] = ...
    if "params" not in keys:
        used = ["prompt" if "prompts" in keys else "id", *keys.get("files", {})]
        used += keys.get("files_from", {})
        used += [f"{name}.id" for name in keys.get("matrix", {}) if name not in _NO_VARIABLES]
        sent = " ".join(f"{{{{ {name} }}}}" for name in used)
        text += f'\nparams: {{node: {{field: "{sent}"}}}}'
    if "workflow" not in keys:
        text += "\nworkflow: some_workflow"
    return text + "\n"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def _simulator() -> Iterator[dict[str, str]]:
    """Run a simulator whose tasks are quick; yield the variables that lead a run to it."""
    options = ("--service-time", "uniform:0.1,0.4", "--image-bytes", "3000")
    with simulator_process(*options) as (_, url):
        yield {"BAICAI_BASE_URL": url, "BAICAI_API_KEY": "sk-documentation"}
