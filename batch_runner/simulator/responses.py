"""What a service says: answers before they are encoded, and the words of its errors."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

#: The way to a value in a JSON body: names of fields. A list stands for its first element.
Path = tuple[str, ...]


class Rejection(StrEnum):
    """Why a request was rejected."""

    ERROR = "error"
    KEY = "key"  #: no valid key
    BUSY = "busy"  #: too many requests, or a full queue


@dataclass(slots=True)
class Answer:
    """A response before it is encoded; a fault may change it.

    `body` is a JSON value. `content`, if not None, is sent instead. `rejection` None follows from
    the status.
    """

    status: int = 200
    body: Any = None
    content: bytes | None = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    rejection: Rejection | None = None

    @property
    def rejected(self) -> Rejection | None:
        """Return why this answer rejects a request, None if it does not."""
        if self.rejection is not None or self.status < 400:
            return self.rejection
        by_status = {401: Rejection.KEY, 429: Rejection.BUSY}
        return by_status.get(self.status, Rejection.ERROR)

    def encode(self) -> bytes:
        if self.content is not None:
            return self.content
        return json.dumps(self.body, ensure_ascii=False).encode()


class Responses:
    """The answers of one service, and where they hold what a fault may change.

    Attributes:
        places: Where `task_id`, `state`, `progress` and `data` are; one that is absent cannot be
            changed by a fault.
        words: The service's words for the states of a task; the others are used as they are.
        moderates_tasks: A rejected content is accepted first, and rejected by the task's state.
    """

    places: ClassVar[Mapping[str, Path]] = {}
    words: ClassVar[Mapping[str, str]] = {}
    moderates_tasks: ClassVar[bool] = False

    def __init__(self, variants: tuple[str, ...] = (), rng: random.Random | None = None) -> None:
        self.variants = variants
        self.rng = rng or random.Random()

    def error(self, status: int, message: str, *, code: int | None = None) -> Answer:
        """Return an error response; `code` None stands for the one that goes with the status."""
        raise NotImplementedError

    def http_error(self, status: int, reason: str) -> Answer:
        """Return the response to a path or a method that the service does not have."""
        return self.error(status, reason)

    def submitted(self, task_id: str) -> Answer:
        """Return the response to an accepted submission."""
        raise NotImplementedError

    def wrong_key(self, *, missing: bool) -> Answer:
        """Return the response to a request without a key, or with one that is not accepted."""
        return self.error(401, "no API key" if missing else "the API key is not valid")

    def unknown_task(self) -> Answer:
        """Return the response about a task that does not exist."""
        return self.error(404, "there is no such task")

    def moderated(self, status: int | None = None, code: int | None = None) -> Answer:
        """Return the response to a content that is not allowed; None for the usual values."""
        return self.error(status or 400, "the content is not allowed", code=code)

    def no_balance(self, status: int | None = None, code: int | None = None) -> Answer:
        """Return the response for an empty account; None for the usual values."""
        return self.error(status or 402, "insufficient balance", code=code)

    def busy(self, status: int | None = None) -> Answer:
        """Return the response to too many requests; None for the usual status."""
        return self.error(status or 429, "too many requests, please wait")

    def message(self, answer: Answer) -> str:
        """Return the text of an error response, for the ledger."""
        body = answer.body if isinstance(answer.body, dict) else {}
        return str(next((body[name] for name in ("message", "msg", "detail") if name in body), ""))

    def word(self, state: str) -> str:
        """Return the service's word for a state of `Task`."""
        return self.words.get(state, state)

    def get(self, answer: Answer, place: str) -> Any:
        """Return the value in a place of `places`, None if it is not there."""
        holder, name = self._holder(answer, place)
        return None if holder is None else holder.get(name)

    def put(self, answer: Answer, place: str, value: Any) -> None:
        """Change the value in a place of `places`."""
        holder, name = self._holder(answer, place)
        if holder is not None:
            holder[name] = value

    def drop(self, answer: Answer, place: str) -> None:
        """Remove the value in a place of `places`."""
        holder, name = self._holder(answer, place)
        if holder is not None:
            holder.pop(name, None)

    def put_data(self, answer: Answer, value: Any) -> None:
        """Replace all that a successful response tells by `value`."""
        if "data" in self.places:
            self.put(answer, "data", value)
        elif isinstance(answer.body, dict):
            answer.body = dict.fromkeys(answer.body, value)

    def change_urls(self, answer: Answer, change: Callable[[list[Any]], list[Any]]) -> None:
        """Change the URLs of files in a successful response; without any, do nothing."""

    def _holder(self, answer: Answer, place: str) -> tuple[dict[str, Any] | None, str]:
        path = self.places.get(place)
        if not path or answer.rejected is not None:
            return None, ""
        holder = answer.body
        for step in path[:-1]:
            holder = _first(holder).get(step)
        holder = _first(holder)
        return (holder if isinstance(holder, dict) and holder else None), path[-1]


def _first(value: Any) -> Any:
    """Return `value`, the first element of a list, or {} for anything without fields."""
    if isinstance(value, list):
        value = value[0] if value else {}
    return value if isinstance(value, dict) else {}
