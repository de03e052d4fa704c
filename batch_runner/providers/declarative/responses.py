"""Read the responses of a described service: their JSON, and what their errors mean."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Collection
from typing import Any

from batch_runner.errors import ApiError, Failure
from batch_runner.providers.classify import classify
from batch_runner.providers.declarative.description import Errors, Responses
from batch_runner.providers.declarative.expressions import Expressions, compiled, found, text
from batch_runner.providers.http import Http, Response
from batch_runner.util.text import json_text, printable, replace_lone_surrogates

FAILURES = {
    "key": Failure.FORBIDDEN,
    "balance": Failure.FORBIDDEN,
    "busy": Failure.LIMITED,
    "moderation": Failure.REJECTED,
    "rejected": Failure.REJECTED,
    "unknown_task": Failure.NOT_FOUND,
    "task_failed": Failure.TASK_FAILED,
    "again": Failure.UNSENT,
    "unclear": Failure.AMBIGUOUS,
}


#: The calls whose errors may say that a task has failed.
_OF_TASKS = ("status", "result")


class ResponseReader:
    """Tells success from errors, as a description says."""

    def __init__(self, responses: Responses, http: Http, *, not_accepted: Collection[int]) -> None:
        """`not_accepted` are HTTP statuses that, as the user has set, prove a rejection."""
        self._responses = responses
        self._http = http
        self._not_accepted = not_accepted
        self._success = frozenset(map(str, responses.success))
        self._classes = _classes(responses.errors)

    def read(
        self,
        response: Response,
        call: str,
        *,
        sent: Any = None,
        candidate: str | None = None,
        may_be_empty: bool = False,
    ) -> Any:
        """Return the JSON value of a successful response, None if it may be empty and is.

        `sent` is what was submitted or uploaded; None for a query, which an empty account does not
        affect. `candidate` is a task id that the response names in any case.

        Raises:
            ApiError: the HTTP status or the content reports an error, or cannot be read.
        """
        content = parse(response.body)
        code = self._code(content)
        if 200 <= response.status < 300 and candidate is None:
            fine = may_be_empty or self._is_readable(content)
            if fine and not self._reports_error(content, code):
                return content
        message = self._message(content)
        kind, failure = self._classify(response, content, code, message, call, sent)
        if failure is Failure.REDIRECTED and 300 <= response.status < 400:
            raise self._http.redirect_error(call, response, candidate)
        if failure is not None and candidate is not None:
            # An error that names a task is contradictory: only the user can find out what is true.
            failure, kind = Failure.NO_RESPONSE, None
        if failure is None and not may_be_empty and not self._is_readable(content):
            failure, message = Failure.NO_RESPONSE, "the response cannot be read"
        if failure is None:
            return content
        detail = f": {message}" if message else ""
        if "401" in (str(response.status), code) and self._http.key_source:
            detail += f"; the key is that of {self._http.key_source}"
        number = f", code {code}" if code is not None else ""
        raise ApiError(
            f"{call}: HTTP {response.status}{number}{detail}",
            failure=failure,
            status=response.status,
            code=code,
            retry_after=response.retry_after or self._wait(kind),
            candidate=candidate,
            word="moderation" if kind == "moderation" else None,
        )

    def message_in(self, expressions: Expressions, content: Any) -> str:
        """Return the message that is found in a response, on one line; "" without one."""
        return printable(text(expressions, content), 300)

    def _is_readable(self, content: Any) -> bool:
        if content is None:
            return False
        return self._responses.data is None or compiled(self._responses.data)(content) is not None

    def _classify(
        self,
        response: Response,
        content: Any,
        code: str | None,
        message: str,
        call: str,
        sent: Any,
    ) -> tuple[str | None, Failure | None]:
        """Return the class of the error and what kind of failure it is; None for success."""
        status = response.status
        success = 200 <= status < 300
        if success and not self._reports_error(content, code):
            return None, None
        if call == "submit" and status in self._not_accepted:
            return "busy", Failure.LIMITED
        classes = [one for one in self._classes if call in _OF_TASKS or one[0] != "task_failed"]
        for kind, errors in classes:
            if status in errors.statuses:
                return kind, FAILURES[kind]
        # An error of the server or a gateway proves nothing, whatever its body says.
        if success or (400 <= status < 500 and classify(status, None) is not Failure.AMBIGUOUS):
            for kind, errors in classes:
                if code in errors.codes or errors.matches(message, sent, kind):
                    if success and kind == "moderation" and call in _OF_TASKS:
                        return kind, Failure.TASK_FAILED  # such a response is about the task
                    return kind, FAILURES[kind]
        return None, Failure.REJECTED if success else classify(status, None)

    def _reports_error(self, content: Any, code: str | None) -> bool:
        if self._success and code is not None and code not in self._success:
            return True
        when = self._responses.error_when
        return when is not None and bool(compiled(when)(content))

    def _wait(self, kind: str | None) -> float | None:
        return self._responses.errors.busy.wait if kind == "busy" else None

    def _code(self, content: Any) -> str | None:
        for code in found(self._responses.code, content):
            if isinstance(code, float) and code.is_integer():
                code = int(code)
            if not isinstance(code, bool) and isinstance(code, int | str):
                return printable(str(code), 40)
        return None

    def _message(self, content: Any) -> str:
        return self.message_in(self._responses.message, content)


class _ErrorClass:
    """One class of errors, ready to compare."""

    def __init__(
        self, codes: frozenset[str], statuses: frozenset[int], pattern: re.Pattern[str] | None
    ) -> None:
        self.codes = codes
        self.statuses = statuses
        self._pattern = pattern

    def matches(self, message: str, sent: Any, kind: str) -> bool:
        """Return whether the message itself says so; it may quote what was sent."""
        if self._pattern is None or (sent is None and kind == "balance"):
            return False
        words = [match[0] for match in self._pattern.finditer(message)]
        quoted = "" if sent is None else json_text(sent)
        return bool(words) and not any(word in quoted for word in words)


def _classes(errors: Errors) -> list[tuple[str, _ErrorClass]]:
    result = []
    for kind in FAILURES:
        one = getattr(errors, kind)
        if one.codes or one.statuses or one.message:
            pattern = re.compile(one.message, re.IGNORECASE) if one.message else None
            codes = frozenset(map(str, one.codes))
            result.append((kind, _ErrorClass(codes, frozenset(one.statuses), pattern)))
    return result


def parse(body: bytes) -> Any:
    """Return the JSON object or list of a response; None if it is neither."""
    try:
        decoded = body.removeprefix(codecs.BOM_UTF8).decode(errors="replace")
        content = json.loads(decoded)
        if "\\ud" in decoded or "\\uD" in decoded:  # half a surrogate pair? UTF-8 has none
            content = json.loads(replace_lone_surrogates(json_text(content)))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict | list) else None


def fraction(value: Any, whole: float) -> float | None:
    """Return progress as 0..1 from "37", 37 or "37%" of `whole`; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(str(value).strip().rstrip("%"))
    except ValueError:
        return None
    return number / whole if math.isfinite(number) and 0 <= number <= whole else None
