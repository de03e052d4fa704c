"""The Chinese catalogue is complete, and in step with the code: `make catalogues` mends it."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterable
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo

from tests.harness.catalogues import MO, PO, messages_in_code, po_text, stored, updated


def texts(catalogue: Catalog) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return translations by message, each as its singular and plural."""
    return {both(one.id): both(one.string) for one in catalogue if one.id}


def both(text: str | Iterable[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def fields(text: str) -> set[str | None]:
    try:
        return {name for _, name, _, _ in Formatter().parse(text)} - {None}
    except ValueError:  # braces that are no fields: such a message is never formatted
        return set()


def test_catalogue_has_every_message_and_no_other() -> None:
    assert texts(stored()).keys() == texts(messages_in_code()).keys()


def test_every_message_is_translated() -> None:
    assert [message for message, text in texts(updated()).items() if not all(text)] == []


def test_translations_have_the_fields_of_their_messages() -> None:
    wrong = [
        message
        for message, text in texts(stored()).items()
        if any(fields(one) != fields(message[-1]) for one in text)
    ]

    assert wrong == []


def test_compiled_catalogue_equals_its_source() -> None:
    assert texts(read_mo(io.BytesIO(MO.read_bytes()))) == texts(stored())


def test_source_catalogue_is_as_the_tool_writes_it() -> None:
    assert po_text(stored()) == PO.read_bytes()


def test_no_message_is_an_f_string() -> None:
    """Such a one could not be found in the catalogue."""
    package = PO.parents[3]
    calls = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("tr", "tr_n", "mark_tr")
        and any(isinstance(one, ast.JoinedStr) for one in node.args)
    ]

    assert calls == []


#: Errors that end a command and are printed for the user; others go to logs and the journal.
USER_ERRORS = {
    *("UsageError", "FolderRefused", "JobLocked", "JournalUnreadable", "JournalVersionMismatch"),
    *("InputRefusedError", "RenderFailedError", "TemplateRefusedError", "TemplateRuntimeError"),
}


def test_no_error_for_users_is_an_untranslated_literal() -> None:
    untranslated = []
    for path in PO.parents[3].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            message = _message_of(node)
            if isinstance(message, ast.Constant | ast.JoinedStr) and _has_words(message):
                untranslated.append(f"{path.name}:{message.lineno}")

    assert untranslated == []


def _message_of(node: ast.AST) -> ast.expr | None:
    """Return the message of an error that is raised, or of a problem in an input file."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        name = node.exc.func.id if isinstance(node.exc.func, ast.Name) else ""
        return node.exc.args[0] if name in USER_ERRORS and node.exc.args else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = ast.unparse(node.func.value)
        if node.func.attr == "add" and owner.endswith("report") and len(node.args) > 1:
            return node.args[1]
    return None


def _has_words(message: ast.Constant | ast.JoinedStr) -> bool:
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return any(
        re.search("[A-Za-z]{2}", part.value)
        for part in parts
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )
