"""Keeps the Chinese catalogue in step with the messages in the code: `make catalogues`."""

from __future__ import annotations

import io

import click
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from batch_runner.cli.help_formatter import TranslatingFormatter
from batch_runner.cli.main import commands
from batch_runner.util.locale import CATALOGUES, DOMAIN

PO = CATALOGUES / "zh" / "LC_MESSAGES" / f"{DOMAIN}.po"
MO = PO.with_suffix(".mo")
#: The functions whose literals are messages; of `tr_n` the first two arguments.
KEYWORDS = {"tr": None, "mark_tr": None, "tr_n": (1, 2)}
#: Messages of click itself that its users meet.
CLICK: tuple[str | tuple[str, str], ...] = (
    "Usage:",
    "Options",
    "Commands",
    "Error: {message}",
    "Try '{command} {option}' for help.",
    "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}",
    "Missing argument",
    "Missing option",
    "Missing command.",
    "No such option {name!r}.",
    "No such command {name!r}.",
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    "Option {name!r} does not take a value.",
    ("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    "{value!r} is not a valid {number_type}.",
    "{name} {filename!r} does not exist.",
    "{name} {filename!r} is a file.",
    "{name} {filename!r} is a directory.",
    "{name} {filename!r} is not readable.",
    "Error: invalid input",
    "file",
    "directory",
    "path",
    "required",
)


def help_texts() -> list[str]:
    """Return every text of `--help`, by showing the help of every command."""
    found: list[str] = []

    class Recorder(TranslatingFormatter):
        def translate(self, message: str) -> str:
            found.append(message)
            return message

    def show(command: click.Command, parent: click.Context | None) -> None:
        settings = command.context_settings
        with click.Context(command, parent, info_name=command.name, **settings) as context:
            command.format_help(context, Recorder())
            if isinstance(command, click.Group):
                for name in command.list_commands(context):
                    if (each := command.get_command(context, name)) is not None:
                        show(each, context)

    show(commands, None)
    return found


def messages_in_code() -> Catalog:
    """Return every message in the package, without translations."""
    found = Catalog()
    for _, _, message, _, _ in extract_from_dir(
        CATALOGUES.parent, [("**.py", "python")], keywords=KEYWORDS
    ):
        found.add(message)
    for text in (*help_texts(), *CLICK):
        found.add(text)
    return found


def stored() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="zh", domain=DOMAIN)


def updated() -> Catalog:
    """Return the stored catalogue with new messages added, empty, and unused ones removed."""
    catalogue = stored()
    catalogue.update(messages_in_code(), no_fuzzy_matching=True, update_creation_date=False)
    return catalogue


def po_text(catalogue: Catalog) -> bytes:
    """Return a catalogue as text, sorted, without anything that changes from day to day."""
    out = io.BytesIO()
    write_po(
        out,
        catalogue,
        width=100,
        no_location=True,
        omit_header=True,
        sort_output=True,
        ignore_obsolete=True,
    )
    return HEADER + out.getvalue()


#: Ours, since Babel's changes with its version and the time of day.
HEADER = b"""# Chinese messages of batch-runner. After editing: make catalogues
msgid ""
msgstr ""
"Language: zh\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


def main() -> None:
    """Write both files."""
    PO.write_bytes(po_text(updated()))
    with MO.open("wb") as out:
        write_mo(out, stored())
    empty = [message.id for message in stored() if message.id and not message.string]
    print(f"{PO}: {len(stored())} messages, {len(empty)} without a translation")
    for message in empty:
        print(f"  {message}")


if __name__ == "__main__":
    main()
