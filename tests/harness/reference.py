"""Writes the generated parts of the pages in `batch_runner/docs`: `make reference`.

A page marks a generated part with `<!-- generated: NAME -->` and `<!-- end -->`; `PARTS` has the
function for each name. The manifest's keys come from its JSON Schema, the commands from `--help`,
the life of an item from the table of transitions, the packages from their docstrings.
"""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

import batch_runner
from batch_runner.cli.main import commands
from batch_runner.lifecycle import RECOVERY, TRANSITIONS
from batch_runner.manifest import python_schema
from batch_runner.units import (
    CLOCK_PATTERN,
    DURATION_PATTERN,
    PRICE_PATTERN,
    RATE_PATTERN,
    SIZE_PATTERN,
)

DOCS = Path(batch_runner.__file__).parent / "docs"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_CLOCK = re.compile(r"\b(\d\d:\d\d)$", re.MULTILINE)
_DEFAULT = re.compile(r" ?Default: (.+)\.$")
_WITH_UNIT = {
    DURATION_PATTERN: "duration",
    RATE_PATTERN: "rate",
    SIZE_PATTERN: "size",
    PRICE_PATTERN: "price",
    CLOCK_PATTERN: "time of day",
}
#: Whole numbers up to more than this have no limit that a user would meet.
_NO_LIMIT = 1_000_000


def manifest_keys() -> str:
    """Return a section for each top-level key, with the keys in it and an example."""
    schema = python_schema()
    blocks = schema["$defs"]
    lines: list[str] = []
    for name, key in schema["properties"].items():
        block = blocks.get(key.get("$ref", "").rpartition("/")[2], {})
        lines += [f"### `{name}`", "", *_paragraph(name, block | key, schema["required"]), ""]
        inner = blocks["Prompt"] if name == "prompts" else block
        for field, value in inner.get("properties", {}).items():
            lines += _paragraph(field, value, inner.get("required", []), item=True)
        lines += [""] * bool(inner) + ["```yaml", _example(name, key, block), "```", ""]
    return "\n".join(lines)


def _paragraph(
    name: str, key: dict[str, Any], required: list[str], *, item: bool = False
) -> list[str]:
    """Return the meaning, type and default of a key in lines."""
    meaning, default = key["description"], ""
    if found := _DEFAULT.search(meaning):
        meaning, default = meaning[: found.start()], f"; default: {found[1]}"
    kind = _kind(key)
    kind = f" *{kind[0].upper()}{kind[1:]}{'; required' if name in required else default}.*"
    text = (f"- **`{name}`**: " if item else "") + meaning + kind
    return textwrap.wrap(
        text,
        100,
        subsequent_indent="  " if item else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _kind(key: dict[str, Any]) -> str:
    """Return the type of a key in plain words."""
    if "anyOf" in key:
        kinds = dict.fromkeys(_kind(one) for one in key["anyOf"] if one != {"type": "null"})
        if kinds.keys() & {"duration", "rate", "size"}:
            kinds = {one: None for one in kinds if "number" not in one}
        return " or ".join(kinds)
    if "enum" in key:
        return " or ".join(key["enum"])
    if "$ref" in key or key["type"] == "object":
        return "mapping"
    if key["type"] == "array":
        if "enum" in key["items"]:
            return "list of " + ", ".join(key["items"]["enum"])
        words = _kind(key["items"]).split(" or ")
        return "list of " + " or ".join(word if word == "text" else f"{word}s" for word in words)
    if key["type"] == "integer":
        least, most = key.get("minimum"), key.get("maximum", _NO_LIMIT)
        return f"whole number from {least} to {most:,}" if most < _NO_LIMIT else "whole number"
    if isinstance(key["type"], list):
        return " or ".join(key["type"])
    word = "text" if key["type"] == "string" else str(key["type"])
    return _WITH_UNIT.get(key.get("pattern", ""), word)


def _example(name: str, key: dict[str, Any], block: dict[str, Any]) -> str:
    """Return a fragment of a manifest that gives the key, and all settings of a block."""
    fields = block.get("properties", {}).items()
    value = {field: _value(one) for field, one in fields} if "examples" not in key else None
    text = yaml.safe_dump({name: value or _value(key)}, allow_unicode=True, sort_keys=False)
    return _CLOCK.sub(r'"\1"', str(text)).replace("'", '"').rstrip("\n")


def _value(key: dict[str, Any]) -> Any:
    """Return the default of a key as a manifest would have it, if it has a unit; else an example.

    The examples of values with a unit belong to their type.
    """
    found = _DEFAULT.search(key["description"])
    if found and "default" in key and _kind(key) in _WITH_UNIT.values():
        return found[1]
    return key["examples"][0] if "examples" in key else key["default"]


def command_help() -> str:
    """Return a section for each command with its `--help`."""
    return "\n".join(_command_sections(commands, None))


def _command_sections(command: click.Command, parent: click.Context | None) -> Iterator[str]:
    name = "batch-runner" if parent is None else command.name
    with click.Context(command, parent, info_name=name, **command.context_settings) as context:
        if parent is not None:
            title = context.command_path.removeprefix("batch-runner ")
            yield f"## {title}\n\n```text\n{_help_text(context)}\n```\n"
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                found = command.get_command(context, each)
                assert found is not None
                yield from _command_sections(found, context)


def _help_text(context: click.Context) -> str:
    formatter = click.HelpFormatter(width=80, max_width=80)
    context.command.format_help(context, formatter)
    return "\n".join(line.rstrip() for line in formatter.getvalue().splitlines())


def life_of_an_item() -> str:
    """Return every legal change of a status, and what a new run does to it, as a drawing."""
    lines = ["```text"]
    for status, moves in TRANSITIONS.items():
        lines.append(status.value)
        for number, (event, target) in enumerate(moves.items(), 1):
            branch = "└─" if number == len(moves) else "├─"
            again = "  (at the start of a run)" if RECOVERY[status] is event else ""
            lines.append(f"  {branch} {event.value + ' ':─<24}→ {target.value}{again}")
    return "\n".join([*lines, "```", ""])


def packages() -> str:
    """Return every package and module at the top, in the layers of pyproject.toml."""
    package = DOCS.parent
    project = tomllib.loads((package.parent / "pyproject.toml").read_text("utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    lines = ["| package | is for |", "|---|---|"]
    for layer in contract["layers"]:
        for name in layer.split(" | "):
            path = package / name
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
            purpose = " ".join(text.partition("\n\n")[0].split())
            lines.append(f"| `{name}` | {purpose} |")
    return "\n".join([*lines, ""])


PARTS = {
    "packages": packages,
    "keys": manifest_keys,
    "commands": command_help,
    "life": life_of_an_item,
}


def updated(page: Path) -> str:
    """Return the text of a page with its generated parts as they should be."""
    return _PART.sub(
        lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", page.read_text("utf-8")
    )


def main() -> None:
    """Write the pages that are not up to date."""
    for page in sorted(DOCS.glob("*.md")):
        text = updated(page)
        if text != page.read_text("utf-8"):
            page.write_text(text, encoding="utf-8")
            print(f"{page}: updated")


if __name__ == "__main__":
    main()
