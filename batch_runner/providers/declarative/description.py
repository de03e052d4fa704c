"""The description of a service: pydantic models of its YAML file.

Paths into a response are JMESPath expressions (a list of them: the first that finds something
counts). Requests are templates like those of a manifest, with the variables that each field names.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from batch_runner.providers.declarative.expressions import compiled
from batch_runner.providers.declarative.patterns import check_pattern
from batch_runner.providers.info import DEFAULT_TASK_ID
from batch_runner.setting_types import Count, Duration, RateField
from batch_runner.settings import Block
from batch_runner.util.locale import mark_tr, tr

_REQUEST = re.compile(r"(GET|POST|PUT|DELETE) (/\S.*|\{\{ ?(task_id|file) ?\}\}(/\S*)?|/)")
_HOST = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_HEADER = re.compile(
    r"(?!(?i:host|content-length|transfer-encoding|connection)$)[\w!#$%&'*+.^`|~-]+", re.A
)
_PLAIN = re.compile(r"[^\x00-\x1f\x7f]*")
_ENVIRONMENT = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def _expression(value: str) -> str:
    compiled(value)
    return value


def _matching(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(tr("wanted {what}", what=tr(wanted)))
        return value

    return AfterValidator(check)


def _usable_url(value: str) -> str:
    try:
        valid = urlsplit(value).port != 0
    except ValueError:  # of the address in brackets, or of the port
        valid = False
    if not valid:
        raise ValueError(
            tr("wanted {what}", what=tr("an address, such as https://api.example.com"))
        )
    return value


def _expressions(value: Any) -> Any:
    """Return one expression as a list of one."""
    return [value] if isinstance(value, str) else value


Expression = Annotated[str, AfterValidator(_expression)]
Expressions = Annotated[tuple[Expression, ...], BeforeValidator(_expressions)]
Pattern = Annotated[str, AfterValidator(check_pattern)]
Request = Annotated[str, _matching(_REQUEST, mark_tr("a method and a path, such as GET /v1/tasks"))]
Host = Annotated[str, _matching(_HOST, mark_tr("a host name, such as *.example.com"))]
Url = Annotated[
    str,
    _matching(_URL, mark_tr("an address, such as https://api.example.com")),
    AfterValidator(_usable_url),
]
Header = Annotated[str, _matching(_HEADER, mark_tr("the name of a header, such as X-Api-Key"))]
Plain = Annotated[str, _matching(_PLAIN, mark_tr("text without line breaks"))]
Prefix = Annotated[str, _matching(_ENVIRONMENT, mark_tr("capital letters, such as EXAMPLE"))]
Code = int | str
Template = Any  # text, numbers, lists and mappings; texts may be templates


class KeySection(Block):
    """Where requests carry the key; exactly one of header, query and body is its name there."""

    header: Header | None = None
    query: str | None = None
    body: str | None = None
    before: Plain = Field(default="", description="Text before the key, such as 'Bearer '.")


class ErrorClass(Block):
    """Errors of one meaning: codes of the service, HTTP statuses, or a pattern of the message."""

    codes: tuple[Code, ...] = ()
    statuses: tuple[Annotated[int, Field(ge=400, le=599)], ...] = ()
    message: Pattern | None = None
    wait: Duration | None = Field(
        default=None, description="Time to wait if the response names none. Only for busy."
    )


class Errors(Block):
    """What the errors of the service mean; one that is not listed means what HTTP says."""

    key: ErrorClass = ErrorClass()
    balance: ErrorClass = ErrorClass()
    busy: ErrorClass = ErrorClass()
    moderation: ErrorClass = ErrorClass()
    rejected: ErrorClass = ErrorClass()
    unknown_task: ErrorClass = ErrorClass()
    task_failed: ErrorClass = Field(
        default=ErrorClass(), description="A status or result request: the task has failed."
    )
    again: ErrorClass = Field(
        default=ErrorClass(), description="Certainly not accepted; the same request may follow."
    )
    unclear: ErrorClass = Field(
        default=ErrorClass(), description="It may have been accepted: the item is held."
    )


class Responses(Block):
    """How every response is read."""

    success: tuple[Code, ...] = Field(
        default=(),
        description="Codes that mean success. With them, another code in a response of status 2xx "
        "is an error.",
    )
    code: Expressions = Field(default=(), description="The service's own code.")
    message: Expressions = Field(default=(), description="What the service says about an error.")
    error_when: Expression | None = Field(
        default=None, description="A response of status 2xx is an error if this finds something."
    )
    data: Expression | None = Field(
        default=None, description="What every successful response holds."
    )
    errors: Errors = Errors()


class Idempotency(Block):
    """A key by which the service knows a request that it has accepted before."""

    header: Header | None = Field(
        default=None, description="Its header; without one, {{ request_id }} must be in the body."
    )
    valid_for: Duration = Field(description="How long the service is documented to know the key.")


class Submit(Block):
    """A submission. Variables: workflow, params, nodes, request_id."""

    request: Request
    json_body: Template = Field(default=None, alias="json")
    form: dict[str, Any] | None = None
    headers: dict[Header, str] = Field(default={})
    task_id: Expressions = Field(default=(), description="The id that the service gives.")
    own_task_id: bool = Field(
        default=False, description="The task's id is {{ request_id }}, which the run chooses."
    )
    idempotency: Idempotency | None = None
    urls: Expressions = Field(default=(), description="Files, if the response has the result.")
    base64: Expressions = ()
    media_type: str = "image/png"


class Words(Block):
    """The service's words for the states of a task; a word that is not listed means running."""

    pending: tuple[Code, ...] = ()
    running: tuple[Code, ...] = ()
    completed: tuple[Code, ...] = Field(min_length=1)
    failed: tuple[Code, ...] = ()
    canceled: tuple[Code, ...] = ()
    unknown_task: tuple[Code, ...] = Field(
        default=(), description="The service does not know the task; believed only for good."
    )


class Status(Block):
    """A poll. Variable: task_id."""

    request: Request
    json_body: Template = Field(default=None, alias="json")
    word: Expressions
    words: Words
    progress: Expressions = ()
    progress_of: Annotated[float, Field(gt=0)] = 100
    message: Expressions = ()


class FurtherRequest(Block):
    """One more request for each file. Variables: task_id, file."""

    request: Request
    json_body: Template = Field(default=None, alias="json")
    urls: Expressions


class Result(Block):
    """The files of a completed task; without a request, the status response holds them."""

    request: Request | None = None
    json_body: Template = Field(default=None, alias="json")
    urls: Expressions = ()
    base64: Expressions = ()
    media_type: str = "image/png"
    files: Expression | None = Field(
        default=None, description="What `url` or `further` make a URL from, each as {{ file }}."
    )
    url: str | None = None
    further: FurtherRequest | None = None
    file_errors: Expressions = Field(
        default=(), description="Why single files are missing; the others are downloaded."
    )
    failed_when: Expression | None = Field(
        default=None, description="The task has failed after all if this finds something."
    )


class Upload(Block):
    """An upload of an input file, as a multipart form."""

    request: Request
    file: str = Field(default="file", description="The form's field of the file.")
    form: dict[str, str] = Field(default={}, description="Its further fields.")
    value: Expressions = Field(description="What stands for the file in params.")


class Cancel(Block):
    """Cancels a task. Variable: task_id."""

    request: Request
    json_body: Template = Field(default=None, alias="json")


class Exists(Block):
    """Asks for a task whose id the run chose. Variable: task_id.

    A response of status 404, or an error listed as unknown_task, says that there is none.
    """

    request: Request
    json_body: Template = Field(default=None, alias="json")


class ErrorExample(Block):
    """A response of the service to a call, and the class of error that it means."""

    call: Literal["submit", "status", "result", "upload", "cancel", "exists"] = "submit"
    status: Annotated[int, Field(ge=200, le=599)] = 200
    body: Any = None
    means: Literal[
        "key",
        "balance",
        "busy",
        "moderation",
        "rejected",
        "unknown_task",
        "task_failed",
        "again",
        "unclear",
    ]


class Examples(Block):
    """Responses of the service, as its documentation shows them; `providers check` plays them.

    {{ base_url }} in a text stands for the address of the service.
    """

    workflow: str = "example"
    params: dict[str, Any] = Field(default={})
    submit: Any = Field(description="The response to a submission.")
    status: tuple[Any, ...] = Field(
        default=(), description="The responses to polls; the last one completes the task."
    )
    result: Any = Field(default=None, description="The response to the request for the result.")
    further: Any = Field(default=None, description="The response to the request for each file.")
    upload: Any = None
    cancel: Any = Field(default={})
    errors: tuple[ErrorExample, ...] = ()


class Limits(Block):
    """What the service documents; shown to the user, and defaults of the settings."""

    rate: RateField | None = None
    in_flight: Count | None = None
    url_life: Duration | None = Field(default=None, description="How long a file's URL works.")
    task_life: Duration | None = Field(default=None, description="How long a task id works.")
    first_poll: Duration | None = None
    poll_interval: Duration | None = None


class Description(Block):
    """One service."""

    description: Literal[1] = Field(description="Version of this format.")
    title: str
    source: str = Field(description="The documentation that this was written from.")
    tried: bool = Field(default=False, description="It was used with the real service.")
    simulated_as: str | None = Field(
        default=None, description="Service that the simulator acts as in rehearsals."
    )
    base_url: Url
    docs_host: Host | None = Field(
        default=None, description="Host of the documentation, if users may mistake it."
    )
    environment: Prefix | None = Field(
        default=None, description="Prefix of the variables NAME_API_KEY and NAME_BASE_URL."
    )
    hosts: tuple[Host, ...] = Field(
        default=(), description="Further hosts whose status and result requests carry the key."
    )
    key: KeySection | None = Field(default=None, description="Without it, no key is needed.")
    params: Literal["nodes", "flat"] = Field(
        default="flat", description="nodes: a mapping of mappings, by node and field."
    )
    workflow: bool = Field(default=True, description="Submissions name a workflow or model.")
    free: bool = Field(default=False, description="Submissions cost nothing.")
    task_id: Pattern = Field(default=DEFAULT_TASK_ID, description="Pattern of valid task ids.")
    responses: Responses = Responses()
    submit: Submit
    status: Status | None = Field(
        default=None, description="Only without it can every result be in the submission's answer."
    )
    result: Result = Result()
    upload: Upload | None = None
    cancel: Cancel | None = None
    exists: Exists | None = None
    limits: Limits = Limits()
    examples: Examples | None = None
