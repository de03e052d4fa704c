"""Types of values in a manifest, each with its validation and its JSON Schema."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from batch_runner.manifest import filenames
from batch_runner.util.locale import mark_tr, tr
from batch_runner.util.object_store import ADDRESS_PATTERN, is_address, is_valid_address

#: Names that variables cannot have: built-in variables and functions.
RESERVED = frozenset({"id", "n", "job", "seed", "pick", "range", "loop", "self"})
KEYWORDS = frozenset(
    [
        *("and", "or", "not", "in", "is", "if", "else", "elif", "for"),
        *("true", "false", "none", "True", "False", "None"),
    ]
)

#: Largest `repeat` and `attempts`; more is probably a typing error.
MAX_REPEAT = 100_000
MAX_ATTEMPTS = 100

# A letter of any script or an underscore, followed by these or digits; approximated by exclusion.
NAME_PATTERN = r"^[^\s\d!-/:-@\[-^`{-~][^\s!-/:-@\[-^`{-~]*$"
_LINE_PATTERN = r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$"
_FILE_NAME_PATTERN = r'^[^\x00-\x1f\s./\\<>:"|?*-][^\x00-\x1f/\\<>:"|?*]*$'
_FOLDER_PATTERN = (
    r"^(?!~)(?!.*\{[{%])(?!s3:/)(?!.*://)[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$"
    f"|{ADDRESS_PATTERN}"
)
_DATA_FILE_PATTERN = (
    r"^[^\x00-\x1f]*\.([cCtT][sS][vV]|[tT][xX][tT]|[xX][lL][sS][xX]"
    r"|[jJ][sS][oO][nN][lL]|[nN][dD][jJ][sS][oO][nN])$"
)
_WEB_PATTERN = r"^[Hh][Tt][Tt][Pp][Ss]?://[!-.0-9:-~]+(/[!-~]*)?$"
_SERVER_PATTERN = r"^[Hh][Tt][Tt][Pp][Ss]?://[!\"$-.0-9:-?A-~]+(/[!\"$->A-~]*)?$"
# Upper case and _ for - are accepted, too.
_ENCODING_PATTERN = "^[A-Za-z0-9_-]+$"

#: Values of `encoding`, and the codec for each. GB18030 contains GBK and GB2312.
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8-sig"),
    **{name: name for name in ("utf-16", "utf-16-le", "utf-16-be")},
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "cp936"), "gb18030"),
    **dict.fromkeys(("big5", "cp950"), "cp950"),
    "big5hkscs": "big5hkscs",
    **dict.fromkeys(("shift_jis", "cp932"), "cp932"),
    "euc_jp": "euc_jp",
    **dict.fromkeys(("euc_kr", "cp949"), "cp949"),
    **{f"cp{number}": f"cp{number}" for number in range(1250, 1259)},
    "latin-1": "latin-1",
}

# Not white space, and not a character without width, such as a byte order mark.
_VISIBLE = re.compile(r"[^\s\u00ad\u200b-\u200f\u2060\ufeff]")


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character."""
    return not (text.strip() if text.isascii() else _VISIBLE.search(text))


def kind(value: object) -> str:
    """Return the type of a value in plain words, for messages."""
    for kinds, word in (
        (bool, mark_tr("true or false")),
        ((int, float), mark_tr("a number")),
        (str, mark_tr("text")),
        (list, mark_tr("a list")),
        (dict, mark_tr("a mapping")),
    ):
        if isinstance(value, kinds):
            return word
    return mark_tr("nothing")


def variable_refusal(name: str) -> str | None:
    """Return why a variable cannot have this name, None if it can."""
    if name in RESERVED:
        return tr("{name} is reserved", name=name)
    if name in KEYWORDS:
        return tr("{name} is a keyword of the template language", name=name)
    if not name.isidentifier():
        return tr("use a letter, then letters, digits and _")
    return None


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError(tr("this key has no value; give it one, or remove it"))
    return value


def _line(text: str) -> str:
    if not text.strip():
        raise ValueError(tr("wanted text, this is empty"))
    if any(ord(sign) < 32 for sign in text):
        raise ValueError(tr("wanted one line of text without control characters"))
    return text


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _job(name: str) -> str:
    if reason := filenames.refusal(name):
        raise ValueError(tr("the job's name is also the name of a folder: {reason}", reason=reason))
    return name


def _folder(folder: str) -> str:
    if folder.startswith("~"):
        raise ValueError(tr('use an absolute path: "~" depends on the user'))
    if "{{" in folder or "{%" in folder:
        raise ValueError(tr("the folder is the same for all items, so it cannot be a template"))
    if "://" in folder or is_address(folder):
        _check_address(folder)
    return folder


def _check_address(text: str) -> None:
    if not is_address(text):
        raise ValueError(tr("wanted a folder, or s3://BUCKET/PREFIX for an object store"))
    if not is_valid_address(text):
        raise ValueError(
            tr(
                "wanted s3://BUCKET/PREFIX; endpoint and credentials are in the variables "
                "AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        )


def _data_file(name: str) -> str:
    if name.lower().endswith((".xls", ".xlsm", ".ods", ".numbers", ".et")):
        raise ValueError(tr("save the table as .xlsx or CSV UTF-8 first, and name that file here"))
    if not name.lower().endswith((".txt", ".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx")):
        raise ValueError(tr("wanted a file name that ends in .txt, .csv, .tsv, .jsonl or .xlsx"))
    return name


def _web_address(url: str) -> str:
    try:
        valid = (
            re.fullmatch(_WEB_PATTERN, url) and urlsplit(url).hostname and urlsplit(url).port != 0
        )
    except ValueError:  # the port
        valid = False
    if not valid:  # without the value, which is a secret
        raise ValueError(tr("wanted a URL such as https://hc-ping.com/UUID, this is none"))
    return url


def _server_url(url: str) -> str:
    wanted = tr("wanted the URL of a server such as http://127.0.0.1:8188")
    parts = None
    try:
        found = urlsplit(url)
        if re.fullmatch(_WEB_PATTERN, url) and found.hostname and found.port != 0:
            parts = found
    except ValueError:  # the port
        pass
    if parts and (parts.username is not None or parts.query or parts.fragment):
        raise ValueError(
            tr(
                "{wanted}, without user name, password, query and fragment; this is another",
                wanted=wanted,
            )
        )
    if not parts:
        if "@" in url:  # it may be a password
            raise ValueError(tr("{wanted}, this is none", wanted=wanted))
        raise ValueError(wanted)
    return url.rstrip("/")


def _server_urls(urls: list[str]) -> list[str]:
    return list(dict.fromkeys(urls))


def _file_patterns(patterns: dict[str, str]) -> dict[str, str]:
    if len(patterns) != 1:
        raise ValueError(
            tr(
                "wanted one variable with a pattern; what belongs to each of its files goes under "
                'files, such as mask: "masks/{{ photo_stem }}.png"'
            )
        )
    for pattern in patterns.values():
        if pattern.startswith("~"):
            raise ValueError(tr('use an absolute path: "~" depends on the user'))
        if "{{" in pattern or "{%" in pattern:
            raise ValueError(tr("the pattern cannot be a template"))
    return patterns


def _encoding(name: str) -> str:
    known = name.lower().replace("_", "-")
    found = next((one for one in ENCODINGS if one.replace("_", "-") == known), None)
    if known in ("auto", "detect"):
        raise ValueError(
            tr(
                "an encoding is never guessed, because another one would be another prompt; leave "
                "the key out, and the error names the encoding that the file seems to have"
            )
        )
    if found is None:
        raise ValueError(tr("wanted an encoding such as utf-8, gbk, gb18030, big5 or utf-16"))
    return found


def _matrix_value(value: Any) -> Any:
    if isinstance(value, dict):
        if "id" not in value:
            raise ValueError(
                tr("a mapping in the matrix needs an id, for file names and the report")
            )
        if not isinstance(value["id"], str | int) or not str(value["id"]).strip():
            raise ValueError(tr("the id of a matrix value must be text or a whole number"))
    elif not isinstance(value, str | int | float):
        wanted = "text, a number, true, false or a mapping with an id"
        raise ValueError(tr("wanted {wanted}, this is {kind}", wanted=wanted, kind=tr(kind(value))))
    elif isinstance(value, str) and not value.strip():
        raise ValueError(tr("wanted text, this is empty"))
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
    """Removes null from the JSON Schema of a value that may be None only in code."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        described = handler(schema)
        options = [one for one in described.pop("anyOf", []) if one != {"type": "null"}]
        return {**described, **options[0]} if len(options) == 1 else {**described, "anyOf": options}


_T = TypeVar("_T")
#: The key may be left out, but not left without a value, such as `prompts:` alone.
Given = Annotated[_T | None, BeforeValidator(_given), _NotNull()]

Line = Annotated[str, Field(strict=True), AfterValidator(_line)]
Text = Annotated[Line, _pattern(_LINE_PATTERN)]
Prose = Annotated[str, Field(strict=True, pattern=r"\S")]
Id = Annotated[Line, BeforeValidator(_id), WithJsonSchema(_ID_SCHEMA)]
JobName = Annotated[Line, AfterValidator(_job), _pattern(_FILE_NAME_PATTERN)]
Folder = Annotated[Line, AfterValidator(_folder), _pattern(_FOLDER_PATTERN)]
Encoding = Annotated[
    Line,
    AfterValidator(_encoding),
    WithJsonSchema({"type": "string", "pattern": _ENCODING_PATTERN, "examples": [*ENCODINGS]}),
]
WebAddress = Annotated[Line, AfterValidator(_web_address), _pattern(_WEB_PATTERN)]
ServerUrl = Annotated[Line, AfterValidator(_server_url), _pattern(_SERVER_PATTERN)]
ServerUrls = Annotated[list[ServerUrl], Field(min_length=1), AfterValidator(_server_urls)]
DataFile = Annotated[Line, AfterValidator(_data_file), _pattern(_DATA_FILE_PATTERN)]
Repeat = Annotated[int, Field(strict=True, ge=1, le=MAX_REPEAT)]
Attempts = Annotated[int, Field(strict=True, ge=1, le=MAX_ATTEMPTS)]

Params = Annotated[dict[str, Any], Field(min_length=1)]
MatrixValue = Annotated[Any, BeforeValidator(_matrix_value), WithJsonSchema(_MATRIX_VALUE_SCHEMA)]
Values = Annotated[list[MatrixValue], Field(min_length=1)]
_NAMED = {"propertyNames": {"pattern": NAME_PATTERN}}
Variables = Annotated[dict[str, Any], Field(json_schema_extra=_NAMED)]
FilePatterns = Annotated[
    dict[str, Text],
    AfterValidator(_file_patterns),
    Field(json_schema_extra={**_NAMED, "minProperties": 1, "maxProperties": 1}),
]
FileVariables = Annotated[dict[str, Text], Field(json_schema_extra=_NAMED)]

_BY_NODE = {"properties": {"params": {"additionalProperties": {"type": "object"}}}}
#: JSON Schema of what the default provider needs: others may have no workflows, or flat params.
USUAL_SERVICE: dict[str, Any] = {
    "if": {"properties": {"provider": {"const": "baicai"}}},
    "then": {
        "required": ["workflow"],
        "properties": {**_BY_NODE["properties"], "prompts": {"items": _BY_NODE}},
    },
}
