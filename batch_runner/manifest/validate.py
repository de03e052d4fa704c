"""Validate parts of a manifest with pydantic, and report its errors in plain words."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from batch_runner.manifest.diagnostics import (
    Diagnostics,
    closest,
    excerpt,
    holds_password,
    looks_secret,
)
from batch_runner.manifest.misplaced import unknown_key_hint
from batch_runner.manifest.renamed import RENAMED_SETTINGS, RENAMED_VALUES
from batch_runner.manifest.schema_types import kind
from batch_runner.manifest.yaml.nodes import Mapping, follow, holds_broken, is_broken, key_of, plain
from batch_runner.util.fullwidth import ascii_form, ascii_hint, first_sign
from batch_runner.util.locale import tr

Checked = TypeVar("Checked", bound=BaseModel)

#: Examples for the hint at a missing key.
_EXAMPLES = {
    "workflow": "workflow: year_of_the_horse_greeting_card",
    "params": 'params: {"6": {text: "{{ prompt }}"}}',
    "prompt": "prompt: A horse in falling snow",
}


def check(
    model: type[Checked],
    node: Mapping,
    label: str,
    diagnostics: Diagnostics,
    *,
    placeholders: dict[str, Any] | None = None,
    item: str | None = None,
) -> tuple[Checked, frozenset[str]]:
    """Return the validated model, and the top-level keys that were invalid and left out.

    Keys that are left out get their default, or their value in `placeholders` if they have none, so
    that the rest of the manifest can be checked as well.
    """
    data = plain(node)
    wrong = {key for key, value in node.items.items() if holds_broken(value)}
    errors = _errors(model, data)
    for error in errors:
        _add_error(error, model, node, label, diagnostics, item)
        wrong.add(str(error["loc"][0]))
    if not wrong:
        return model.model_validate(data), frozenset()
    rest = {**(placeholders or {}), **plain(node)}
    for error in errors:
        _remove(rest, error["loc"])
    for error in _errors(model, rest):  # the invalid part could not be removed alone
        rest.pop(str(error["loc"][0]), None)
    return model.model_validate({**(placeholders or {}), **rest}), frozenset(wrong)


def _errors(model: type[BaseModel], data: dict[str, Any]) -> list[ErrorDetails]:
    try:
        model.model_validate(data)
    except ValidationError as errors:
        return errors.errors(include_url=False)
    return []


def _remove(data: Any, steps: tuple[int | str, ...]) -> None:
    for step in steps[:-1]:
        data = data.get(step) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data.pop(steps[-1], None)


def _add_error(
    error: ErrorDetails,
    model: type[BaseModel],
    node: Mapping,
    label: str,
    diagnostics: Diagnostics,
    item: str | None,
) -> None:
    """Report one error, unless the value was reported already."""
    steps = error["loc"]
    found = follow(node, steps)
    if is_broken(found):
        return
    if error["type"] == "missing":
        add_missing(str(steps[-1]), model, node, label, diagnostics, item=item)
        return
    if error["type"] == "extra_forbidden" and isinstance(found, Mapping) and len(steps) == 1:
        renamed = [(*steps, name) for name in found.keys if _new_name((*steps, name))]
        for path in renamed:
            key = key_of(node, path)
            message = tr("there is no key {map}", map=excerpt(".".join(map(str, path))))
            location = key.location(label)
            diagnostics.add(
                location,
                message,
                item=item,
                hint=tr("renamed to {new_name}", new_name=_new_name(path)),
            )
        if renamed:
            return
    at = key_of(node, steps) if error["type"] == "extra_forbidden" else found
    message, hint = _message(error, model, steps, node, diagnostics.key_hint)
    location = at.location(label)
    if isinstance(error["input"], str) and at is found and (sign := first_sign(error["input"])):
        location = diagnostics.locate(location, sign)
        if not hint and ascii_form(error["input"]) not in message:
            hint = ascii_hint(error["input"])
    diagnostics.add(location, message, item=item, hint=hint)


def add_missing(
    missing: str,
    model: type[BaseModel],
    node: Mapping,
    label: str,
    diagnostics: Diagnostics,
    *,
    item: str | None = None,
    example: str | None = None,
) -> None:
    """Report a missing key of `node`, unless it is misspelt there, which is reported there."""
    misspelt = _misspelt(missing, model, node)
    if misspelt and model.model_config.get("extra") == "forbid":
        return
    example = example or _EXAMPLES.get(missing)
    hint = tr("write for example {examples}", examples=example) if example else None
    if misspelt:
        hint = tr("is {misspelt} a misspelling of it?", misspelt=excerpt(misspelt))
    message = tr("the key {missing} is missing", missing=missing)
    diagnostics.add(node.location(label), message, item=item, hint=hint)


def _misspelt(missing: str, model: type[BaseModel], node: Mapping) -> str | None:
    """Return the unknown key that resembles the missing one, None if there is none."""
    unknown = [key for key in node.items if key not in model.model_fields]
    return closest(missing, unknown)


def _message(
    error: ErrorDetails,
    model: type[BaseModel],
    steps: tuple[int | str, ...],
    root: Mapping,
    key_hint: str,
) -> tuple[str, str | None]:
    name = str(steps[-1]) if steps else ""
    value = error["input"]
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            if looks_secret(f"{name}:"):
                return tr("this looks like a key, which no manifest may hold"), key_hint
            block = tuple(map(str, steps[:-1]))
            hint = unknown_key_hint(name, block, model, root)
            return tr("there is no key {name}", name=excerpt(name)), hint
        case "value_error":
            words = str(context["error"])
            return f"{_subject(steps)}{words}{_seen(words, value)}", None
        case "literal_error":
            renamed = RENAMED_VALUES.get((".".join(map(str, steps)), str(value)))
            return tr(
                "{subject}wanted {expected}, this is {value}",
                subject=_subject(steps),
                expected=context["expected"].replace("'", ""),
                value=_shown(value),
            ), renamed and tr("renamed to {new_name}", new_name=renamed)
    if steps == ("notify",):  # its old meaning: addresses, which may hold a password
        hint = tr("addresses to notify belong under on_finish: {notify: [mailto://…]}")
        return tr("notify: wanted a mapping"), hint
    wanted = _wanted(error["type"], context)
    seen = _shown(value)
    if value in ([], {}) or not seen.strip():
        seen = tr("empty")
    if wanted:
        return tr(
            "{subject}wanted {wanted}, this is {seen}",
            subject=_subject(steps),
            wanted=wanted,
            seen=seen,
        ), _hint(error["type"], value)
    return f"{_subject(steps)}{error['msg'][0].lower()}{error['msg'][1:]}", None


def _new_name(steps: tuple[int | str, ...]) -> str | None:
    """Return the new name of the setting at `steps`, None if it was not renamed."""
    return RENAMED_SETTINGS.get(".".join(map(str, steps)))


def _wanted(what: str, context: dict[str, Any]) -> str | None:
    simple = {
        "string_type": tr("text"),
        "int_type": tr("a whole number"),
        "dict_type": tr("a mapping"),
        "model_type": tr("a mapping"),
        "model_attributes_type": tr("a mapping"),
        "list_type": tr("a list"),
        "tuple_type": tr("a list"),
        "bool_type": tr("true or false"),
        "string_pattern_mismatch": tr("some text"),
    }
    if what in simple:
        return simple[what]
    if what == "greater_than_equal":
        return tr("a number of at least {ge}", ge=context["ge"])
    if what == "less_than_equal":
        return tr("a number of at most {le}", le=context["le"])
    if what in ("too_short", "string_too_short"):
        return tr("something in it")
    return None


def _hint(what: str, value: object) -> str | None:
    if what == "string_type" and isinstance(value, int | float):
        return tr('write "{text}" in quotes if it is text', text=_shown(value))
    if what == "int_type" and isinstance(value, str):
        typed = ascii_form(value).strip("\"' ")
        if re.fullmatch("[0-9]+", typed):
            return tr("write the number as {typed}, without quotes", typed=typed)
    return None


def _subject(steps: tuple[int | str, ...]) -> str:
    """Return the dotted name of the value, with a colon."""
    words = [str(step) for step in steps if isinstance(step, str)]
    return f"{excerpt('.'.join(words))}: " if words else ""


def _seen(words: str, value: object) -> str:
    if tr("this is") in words or not isinstance(value, str | int | float) or not str(value).strip():
        return ""
    if holds_password(str(value)):
        return ""
    return tr(", this is {value}", value=_shown(value))


def _shown(value: object) -> str:
    """Return the value, or the type of a list or mapping."""
    return excerpt(value) if isinstance(value, str | int | float) else tr(kind(value))
