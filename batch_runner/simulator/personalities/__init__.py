"""The services that the simulator can act as, one module or package each.

A personality has the routes of its service, and turns each request into calls of the shared
`Service`. Ledger, tasks, queue, faults, limits and pictures are the same for all of them. To add
one, write a module with a class `Personality` here, and a line in `PERSONALITIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_runner.simulator.personalities.base import Personality

RESULT_SHAPES = ("urls", "result_urls", "list_result_urls", "list_urls")


@dataclass(frozen=True, slots=True)
class PersonalityInfo:
    """A personality before it is imported: description, and variants with their descriptions."""

    description: str
    variants: Mapping[str, str] = field(default_factory=dict)


PERSONALITIES: dict[str, PersonalityInfo] = {
    "baicai": PersonalityInfo(
        "the Baicai Infer cloud, also its generations of images and videos",
        {
            "code_string": 'every code is a string: "0" for success',
            "data_array": "the data of submit and upload is an array of one",
            "data_object": "the data of status is an object, not an array of one",
            "server_path": "an upload is answered with a path on the server instead of a URL",
            "urls": "results as data.urls[] (the default)",
            "result_urls": "results as data.result.urls[]",
            "list_result_urls": "results as data[].result.urls[]",
            "list_urls": "results as data[].urls[]",
            "random": "all of the above, chosen by seed for every response",
        },
    ),
    "comfyui": PersonalityInfo(
        "one's own ComfyUI server: one task at a time, no key needed",
        {
            "no_cancel": "a server before 0.25: without POST /api/jobs/{id}/cancel",
            "no_jobs": "a server before 0.5.1: without /api/jobs",
            "own_ids": "a server so old that it ignores the client's prompt_id",
        },
    ),
    "runninghub": PersonalityInfo(
        "RunningHub, from its public documentation: POST, HTTP 200 and a code",
        {"shared_queue": "a full queue is code 421 instead of 814"},
    ),
    "bfl": PersonalityInfo(
        "Black Forest Labs, from its public documentation: a URL to poll in the answer",
        {"other_host": "the URL to poll is on another origin"},
    ),
    "idempotent": PersonalityInfo(
        "a made-up service that honours the header Idempotency-Key",
        {
            "immediate_url": "the response to a submission holds the result's URLs",
            "immediate_base64": "the response to a submission holds the files",
        },
    ),
}


def personality_class(name: str) -> type[Personality[Any]]:
    """Return the class of a personality of `PERSONALITIES`."""
    module = import_module(f"{__name__}.{name}")
    found: type[Personality[Any]] = module.Personality
    return found
