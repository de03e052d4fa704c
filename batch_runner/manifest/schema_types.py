"""The kinds of values in a manifest: each with its check and its words for editors."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from batch_runner.manifest import filenames

#: Variables that every item has, and functions; nothing else may be called like that.
RESERVED = frozenset({"id", "n", "job", "seed", "pick", "range", "loop", "self"})
KEYWORDS = frozenset(
    [
        *("and", "or", "not", "in", "is", "if", "else", "elif", "for"),
        *("true", "false", "none", "True", "False", "None"),
    ]
)

#: Tries of one item and attempts of one try: more is a slip of the finger.
MAX_REPEAT = 100_000
MAX_ATTEMPTS = 100

# A letter of any script or an underscore, then also digits: as near as a pattern can say it.
NAME_PATTERN = r"^[^\s\d!-/:-@\[-^`{-~][^\s!-/:-@\[-^`{-~]*$"
_LINE_PATTERN = r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$"
_FILE_NAME_PATTERN = r'^[^\x00-\x1f\s./\\<>:"|?*-][^\x00-\x1f/\\<>:"|?*]*$'
_FOLDER_PATTERN = r"^(?!~)(?!.*\{[{%])[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$"
_DATA_FILE_PATTERN = (
    r"^[^\x00-\x1f]*\.([cC][sS][vV]|[jJ][sS][oO][nN][lL]|[nN][dD][jJ][sS][oO][nN])$"
)

# Neither white space nor a mark without width, such as a byte order mark.
_VISIBLE = re.compile(r"[^\s\u00ad\u200b-\u200f\u2060\ufeff]")


def is_blank(text: str) -> bool:
    """Return whether a text shows nothing."""
    return not (text.strip() if text.isascii() else _VISIBLE.search(text))


def kind(value: object) -> str:
    """Return what a value is, in the words of a message."""
    for kinds, word in (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "a mapping"),
    ):
        if isinstance(value, kinds):
            return word
    return "nothing"


def variable_refusal(name: str) -> str | None:
    """Return why a variable cannot be called this, None when it can."""
    if name in RESERVED:
        return f"{name} is the manifest's own name for something else"
    if name in KEYWORDS:
        return f"{name} is a word of the template language"
    if not name.isidentifier():
        return "a variable's name is a letter, then letters, digits and _"
    return None


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("there is no value behind this key: give it one, or leave it out")
    return value


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError("wanted text, this is empty")
    if any(ord(sign) < 32 for sign in text):
        raise ValueError("wanted one line of text without control characters")
    return text


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _job(name: str) -> str:
    if reason := filenames.refusal(name):
        raise ValueError(f"a job's name is also a folder's: {reason}")
    return name


def _folder(folder: str) -> str:
    if folder.startswith("~"):
        raise ValueError("write the folder out: ~ is another one for every user and for cron")
    if "{{" in folder or "{%" in folder:
        raise ValueError("the folder is the same for all items and cannot be a template")
    return folder


def _data_file(name: str) -> str:
    if not name.lower().endswith((".csv", ".jsonl", ".ndjson")):
        raise ValueError("wanted a file that ends in .csv or .jsonl")
    return name


def _matrix_value(value: Any) -> Any:
    if isinstance(value, dict):
        if "id" not in value:
            raise ValueError("a mapping in the matrix needs an id, for names and for the report")
        if not isinstance(value["id"], str | int) or not str(value["id"]).strip():
            raise ValueError("the id of a matrix value is a short text")
    elif not isinstance(value, str | int | float):
        wanted = "text, a number, true, false or a mapping with an id"
        raise ValueError(f"wanted {wanted}, this is {kind(value)}")
    elif isinstance(value, str) and not value.strip():
        raise ValueError("wanted text, this is empty")
    return value


def _pattern(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": 1, "pattern": pattern})


_ID_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": _LINE_PATTERN}, {"type": "integer"}]
}
_MATRIX_VALUE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": r"\S"},
        {"type": ["number", "boolean"]},
        {"type": "object", "properties": {"id": _ID_SCHEMA}, "required": ["id"]},
    ]
}


class _NotNull:
    """Takes null out of the description of a value that may be None only in code."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        options = [one for one in described.pop("anyOf", []) if one != {"type": "null"}]
        return {**described, **options[0]} if len(options) == 1 else {**described, "anyOf": options}


_T = TypeVar("_T")
#: May be left out, but not left empty: `prompts:` with nothing behind it is a mistake.
Given = Annotated[_T | None, BeforeValidator(_given), _NotNull()]

Line = Annotated[str, Field(strict=True), AfterValidator(_line)]
Text = Annotated[Line, _pattern(_LINE_PATTERN)]
Prose = Annotated[str, Field(strict=True, pattern=r"\S")]
Id = Annotated[Line, BeforeValidator(_id), WithJsonSchema(_ID_SCHEMA)]
JobName = Annotated[Line, AfterValidator(_job), _pattern(_FILE_NAME_PATTERN)]
Folder = Annotated[Line, AfterValidator(_folder), _pattern(_FOLDER_PATTERN)]
DataFile = Annotated[Line, AfterValidator(_data_file), _pattern(_DATA_FILE_PATTERN)]
Repeat = Annotated[int, Field(strict=True, ge=1, le=MAX_REPEAT)]
Attempts = Annotated[int, Field(strict=True, ge=1, le=MAX_ATTEMPTS)]

Params = Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
MatrixValue = Annotated[Any, BeforeValidator(_matrix_value), WithJsonSchema(_MATRIX_VALUE_SCHEMA)]
Values = Annotated[list[MatrixValue], Field(min_length=1)]
_NAMED = {"propertyNames": {"pattern": NAME_PATTERN}}
Variables = Annotated[dict[str, Any], Field(json_schema_extra=_NAMED)]
FileVariables = Annotated[dict[str, Text], Field(json_schema_extra=_NAMED)]
