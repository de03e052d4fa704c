"""How responses of ComfyUI servers are read, from their content."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_runner.errors import Failure
from batch_runner.models import TaskState
from batch_runner.providers.comfyui.graph import Files, files_of, name_files, node_order
from batch_runner.providers.comfyui.responses import (
    File,
    content_of,
    error_of,
    finished_job,
    job_of,
    output_files,
    queued_job,
    rejection,
)
from batch_runner.providers.comfyui.uploads import is_upload, upload_name
from batch_runner.providers.http import Response
from tests.harness.comfyui import a_graph

TASK = "0f0e0d0c-0b0a-4908-8706-050403020100"


def a_file(name: str, kind: str = "output", subfolder: str = "") -> dict[str, str]:
    return {"filename": name, "subfolder": subfolder, "type": kind}


def test_files_of_every_kind_are_taken_in_node_order() -> None:
    outputs = {
        "19": {"gifs": [a_file("b.mp4") | {"format": "video/h264-mp4"}]},
        "9": {"images": [a_file("a.png", subfolder="x/y"), a_file("t.png", "temp"), None]},
        "100": {"audio": [a_file("c.flac"), a_file("c.flac")], "text": ["hello"]},
        "57:8": {"animated": [True], "images": [a_file("d.webp")]},
        "2": "unreadable",
    }

    assert [file.filename for file in output_files(outputs)] == [
        "a.png",
        "b.mp4",
        "d.webp",
        "c.flac",
    ]
    assert output_files(outputs)[0] == File("a.png", "x/y", "output")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("pending", TaskState.PENDING),
        ("in_progress", TaskState.RUNNING),
        ("completed", TaskState.COMPLETED),
        ("failed", TaskState.FAILED),
        ("cancelled", TaskState.CANCELED),
        ("dreaming", TaskState.UNKNOWN_WORD),
    ],
)
def test_status_of_new_servers_is_read(word: str, state: TaskState) -> None:
    job = job_of({"id": TASK, "status": word})

    assert job is not None
    assert (job.state, job.word) == (state, word)


@pytest.mark.parametrize(
    ("status", "state", "message"),
    [
        ({"status_str": "success", "completed": True, "messages": []}, "completed", ""),
        (None, "completed", ""),
        ({"status_str": "error", "messages": [["execution_interrupted", {}]]}, "canceled", ""),
        (
            {
                "status_str": "error",
                "messages": [
                    ["execution_start", {}],
                    [
                        "execution_error",
                        {
                            "node_id": "3",
                            "node_type": "KSampler",
                            "exception_message": "no\nmemory\n",
                        },
                    ],
                ],
            },
            "failed",
            "node 3 (KSampler): no memory",
        ),
        ({"status_str": "error", "messages": "?"}, "failed", ""),
    ],
)
def test_history_of_old_servers_is_read(status: Any, state: str, message: str) -> None:
    job = finished_job({TASK: {"outputs": {"9": {}}, "status": status}}, TASK)

    assert job is not None
    assert (job.state.value, job.message, job.outputs) == (state, message, {"9": {}})
    assert finished_job({}, TASK) is None


def test_task_is_found_in_the_queue_of_old_servers() -> None:
    queue = {
        "queue_running": [[1, "another", {}, {}, []]],
        "queue_pending": [[2, TASK, {}, {}, []], "unreadable"],
    }

    job = queued_job(queue, TASK)
    assert job is not None
    assert job.state is TaskState.PENDING
    assert queued_job(queue, "a-third") is None
    assert queued_job(None, TASK) is None


def test_rejection_names_the_first_nodes() -> None:
    nodes = {
        str(number): {
            "class_type": "KSampler",
            "errors": [{"message": "Required input is missing", "details": "seed"}],
        }
        for number in (10, 9, 11, 12, 13)
    }
    error = {"type": "x", "message": "Prompt outputs failed validation", "details": ""}

    assert rejection({"error": error, "node_errors": nodes}) == (
        "node 9 (KSampler): Required input is missing: seed; "
        "node 10 (KSampler): Required input is missing: seed; "
        "node 11 (KSampler): Required input is missing: seed; and 2 more"
    )
    assert rejection({"error": error, "node_errors": {}}) == "Prompt outputs failed validation"
    assert rejection({"error": "Job not found"}) == "Job not found"
    assert rejection(["?"]) == ""


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (400, Failure.REJECTED),
        (401, Failure.FORBIDDEN),
        (413, Failure.REJECTED),
        (500, Failure.AMBIGUOUS),
    ],
)
def test_http_error_is_one_sentence_with_the_servers_own(status: int, failure: Failure) -> None:
    body = json.dumps({"error": {"message": "No prompt provided", "details": ""}}).encode()
    error = error_of("submit", Response(status, body))

    assert error.failure is failure
    assert str(error).startswith(f"submit: HTTP {status}: No prompt provided")
    assert str(error).endswith("it wants a key") is (status == 401)
    html = error_of("submit", Response(status, b"<html>"), key_source="COMFYUI_API_KEY")
    hint = "; the key is that of COMFYUI_API_KEY" if status == 401 else ""
    assert str(html) == f"submit: HTTP {status}{hint}"


def test_response_that_is_no_json_is_none() -> None:
    assert content_of(Response(200, b"[" * 100_000)) is None


def test_nodes_are_sorted_by_number_within_their_subgraph() -> None:
    ids = ["10", "57:8", "9", "57:10", "57", "a"]

    assert sorted(ids, key=node_order) == ["9", "10", "57", "57:8", "57:10", "a"]


def test_each_saving_node_gets_a_prefix_of_its_own() -> None:
    graph = a_graph(batch=4, savers=3)
    name_files(graph, TASK)

    prefixes = [graph[node]["inputs"]["filename_prefix"] for node in ("9", "19", "29")]
    assert prefixes == [TASK, f"{TASK}-2", f"{TASK}-3"]
    assert files_of(graph) == Files(nodes=3, each=4)


@pytest.mark.parametrize("name", ["photo.PNG", "a/../b.png", "..", "x.tar!gz", "照片.png"])
def test_upload_is_named_by_its_content(name: str) -> None:
    stored = upload_name(name, b"one")

    assert is_upload(stored)
    assert is_upload(f"sub folder/{stored.replace('.', ' (1).')}")
    assert stored.isascii()
    assert "/" not in stored
    assert stored[:45] != upload_name(name, b"two")[:45]
