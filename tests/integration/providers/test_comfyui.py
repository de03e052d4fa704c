"""The provider against ComfyUI servers that are killed, restarted, old, or something else."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web
from pydantic import SecretStr

from batch_runner.errors import ApiError, Failure, UsageError
from batch_runner.models import TaskReport, TaskState
from batch_runner.providers import Provider, open_provider
from batch_runner.settings import Service, Settings
from tests.harness.comfyui import ComfyServer, a_graph

pytestmark = pytest.mark.anyio

TASK = "0f0e0d0c-0b0a-4908-8706-050403020100"
OLD, OLDEST = "0.3.60", "0.3.45"
PARAMS = {"6": {"text": "a goat"}}


def service_of(*servers: ComfyServer | str, key: str = "", **graphs: Any) -> Service:
    urls = tuple(one if isinstance(one, str) else one.url for one in servers)
    workflows = graphs or {"cards": a_graph()}
    return Service(
        provider="comfyui",
        base_url=urls[0],
        base_urls=urls,
        key=SecretStr(key),
        workflows=workflows,
    )


def opened(*servers: ComfyServer | str, **options: Any) -> Any:
    return open_provider(service_of(*servers, **options), Settings())


@asynccontextmanager
async def running(folder: Path, count: int, **options: Any) -> AsyncIterator[list[ComfyServer]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(ComfyServer(folder / str(number), **options))
            for number in range(count)
        ]


async def submit(provider: Provider, params: dict[str, Any] | None = None) -> str:
    submitted = await provider.submit("cards", params or PARAMS, str(uuid.uuid4()))
    return submitted.task_id


async def finished(provider: Provider, task_id: str) -> TaskReport:
    while not (report := await provider.status(task_id)).state.final:  # noqa: ASYNC110
        await anyio.sleep(1)
    return report


async def downloaded(provider: Provider, url: str) -> bytes:
    content = bytearray()
    await provider.download(url, content.extend)
    return bytes(content)


async def failure_of(awaitable: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await awaitable
    return caught.value


@pytest.fixture(params=["0.33.0", OLD])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ComfyServer]:
    async with ComfyServer(tmp_path, version=request.param) as one:
        yield one


# --- one task ---


async def test_task_is_submitted_polled_and_downloaded(server: ComfyServer) -> None:
    async with opened(server) as provider:
        submitted = await provider.submit("cards", PARAMS, TASK)
        first = await provider.status(TASK)
        last = await finished(provider, TASK)
        urls = await provider.result(TASK)

        assert submitted.task_id == TASK
        assert first.state in (TaskState.PENDING, TaskState.RUNNING)
        assert last.state is TaskState.COMPLETED
        assert urls == [f"{server.url}/view?filename={TASK}_00001_.png&subfolder=&type=output"]
        assert (await downloaded(provider, urls[0])).startswith(b"\x89PNG")


async def test_params_are_laid_over_the_graph_and_nothing_else(server: ComfyServer) -> None:
    file = a_graph()
    async with opened(server, cards=file) as provider:
        await provider.submit("cards", {"6": {"text": "a goat"}, "3": {"seed": 7}}, TASK)

    sent = next(content for _, path, content in server.requests if path == "/prompt" and content)
    expected = a_graph()
    expected["6"]["inputs"]["text"], expected["3"]["inputs"]["seed"] = "a goat", 7
    expected["9"]["inputs"]["filename_prefix"] = TASK
    assert sent == {"prompt": expected, "prompt_id": TASK}
    assert file == a_graph()


async def test_outputs_of_several_nodes_come_in_node_order(server: ComfyServer) -> None:
    async with opened(server, cards=a_graph(batch=2, savers=2)) as provider:
        await provider.submit("cards", PARAMS, TASK)
        await finished(provider, TASK)
        urls = await provider.result(TASK)

    names = [url.split("filename=")[1].split("&")[0] for url in urls]
    assert names == [
        f"{TASK}_00001_.png",
        f"{TASK}_00002_.png",
        f"{TASK}-2_00001_.png",
        f"{TASK}-2_00002_.png",
    ]


async def test_file_is_known_by_the_name_that_the_server_gives_it(server: ComfyServer) -> None:
    file = server.folder / "output" / "a b" / "cröss.glb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"glTF" + bytes(100))
    async with opened(server) as provider:
        query = "filename=cr%C3%B6ss.glb&subfolder=a%20b&type=output"
        content = bytearray()
        received = await provider.download(f"{server.url}/view?{query}", content.extend)

    assert bytes(content) == file.read_bytes()
    assert received.types[-1] == ".glb"


async def test_failed_task_names_the_node_and_its_message(server: ComfyServer) -> None:
    async with opened(server) as provider:
        task_id = await submit(provider, {"6": {"text": "fail"}})
        report = await finished(provider, task_id)
        error = await failure_of(provider.result(task_id))

    assert report.state is TaskState.FAILED
    assert report.message == "node 3 (KSampler): CUDA out of memory"
    assert error.failure is Failure.TASK_FAILED


async def test_refused_submission_says_which_node_and_why(server: ComfyServer) -> None:
    graph = a_graph()
    graph["7"] = {"class_type": "LoadImage", "inputs": {"image": "gone.png"}}
    async with opened(server, cards=graph) as provider:
        error = await failure_of(submit(provider))

    assert error.failure is Failure.REJECTED
    assert "node 7 (LoadImage): Custom validation failed: Invalid image file" in str(error)


async def test_dropped_output_is_a_rejection_and_is_canceled(server: ComfyServer) -> None:
    error = {"message": "Value not in list", "details": "sampler_name: 'x' not in ['euler']"}
    server.drop_nodes = {"3": {"errors": [error], "class_type": "KSampler"}}
    async with opened(server) as provider:
        failure = await failure_of(submit(provider))

    assert failure.failure is Failure.REJECTED
    assert "node 3 (KSampler): Value not in list: sampler_name: 'x' not in ['euler']" in str(
        failure
    )
    await anyio.sleep(1)
    assert (server.pending, server.running) == ([], None)


async def test_workflow_of_previews_alone_is_refused_before_it_is_sent(
    server: ComfyServer,
) -> None:
    graph = a_graph()
    graph["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    async with opened(server, cards=graph) as provider:
        error = await failure_of(submit(provider))

    assert "stores no file" in str(error)
    assert ("POST", "/prompt") not in [request[:2] for request in server.requests]


# --- cancel ---


@pytest.mark.parametrize("version", ["0.33.0", "0.6.0", OLD])
async def test_cancel_ends_one_running_and_one_waiting_task(tmp_path: Path, version: str) -> None:
    async with (
        ComfyServer(tmp_path, version=version, seconds=60) as server,
        opened(server) as provider,
    ):
        tasks = [await submit(provider) for _ in range(3)]
        await provider.cancel(tasks[0])
        await provider.cancel(tasks[2])
        await provider.cancel(tasks[2])
        await anyio.sleep(1)

        assert (await provider.status(tasks[0])).state is TaskState.CANCELED
        assert (await provider.status(tasks[1])).state is TaskState.RUNNING
        assert server.pending == []
    bodies = [content for _, path, content in server.requests if path == "/interrupt"]
    assert bodies == ([] if version == "0.33.0" else [{"prompt_id": tasks[0]}])


async def test_task_of_another_user_is_not_interrupted_by_an_old_server(tmp_path: Path) -> None:
    async with (
        ComfyServer(tmp_path, version=OLDEST, seconds=60) as server,
        opened(server) as provider,
    ):
        error = await failure_of(_cancel_running(provider))

    assert "too old to stop one running task" in str(error)
    assert "/interrupt" not in [path for _, path, _ in server.requests]


async def _cancel_running(provider: Provider) -> None:
    task_id = await submit(provider)
    await anyio.sleep(1)
    await provider.cancel(task_id)


# --- what is asked after a lost answer or a crash ---


async def test_submission_without_an_answer_is_found(server: ComfyServer) -> None:
    server.lose_answers = 1
    async with opened(server) as provider:
        error = await failure_of(provider.submit("cards", PARAMS, TASK))
        assert error.failure is Failure.NO_RESPONSE
    async with opened(server) as provider:
        assert await provider.exists(TASK)
        await finished(provider, TASK)
        assert await provider.exists(TASK)


async def test_submission_that_never_arrived_is_denied_after_a_pause(server: ComfyServer) -> None:
    async with opened(server) as provider:
        began = anyio.current_time()
        assert not await provider.exists(TASK)

    assert anyio.current_time() - began >= 2.0


async def test_finished_task_is_known_by_its_file_after_a_crash(server: ComfyServer) -> None:
    async with opened(server) as provider:
        task_id = await submit(provider)
        await finished(provider, task_id)
        await server.kill()
        await server.start()

        assert await provider.exists(task_id)
        assert (await provider.status(task_id)).state is TaskState.COMPLETED
        (url,) = await provider.result(task_id)
        assert await downloaded(provider, url)


async def test_unfinished_task_is_lost_after_a_crash(server: ComfyServer) -> None:
    async with opened(server) as provider:
        task_id = await submit(provider)
        await server.kill()
        error = await failure_of(provider.status(task_id))
        await server.start()
        report = await provider.status(task_id)
        again = await submit(provider)

        assert error.failure is Failure.UNSENT
        assert report.state is TaskState.LOST
        assert (await finished(provider, again)).state is TaskState.COMPLETED


async def test_file_that_the_crash_cut_off_is_not_taken(server: ComfyServer) -> None:
    async with opened(server) as provider:
        task_id = await submit(provider)
        await finished(provider, task_id)
        await server.kill()
        path = server.folder / "output" / f"{task_id}_00001_.png"
        path.write_bytes(path.read_bytes()[:-5])
        await server.start()

        assert (await provider.status(task_id)).state is TaskState.LOST


async def test_files_of_a_finished_task_are_returned_however_few(server: ComfyServer) -> None:
    async with opened(server, cards=a_graph(batch=3)) as provider:
        task_id = await submit(provider)
        await finished(provider, task_id)
        await server.kill()
        (server.folder / "output" / f"{task_id}_00003_.png").unlink()
        await server.start()

        assert len(await provider.result(task_id)) == 2


@pytest.mark.parametrize(("batch", "savers"), [(3, 1), (1, 2)])
async def test_task_of_which_files_are_missing_is_lost(
    server: ComfyServer, batch: int, savers: int
) -> None:
    async with opened(server, cards=a_graph(batch=batch, savers=savers)) as provider:
        task_id = await submit(provider)
        await server.kill()
        server.save(task_id)
        await server.start()

        assert (await provider.status(task_id)).state is TaskState.LOST
        assert await provider.exists(task_id)


async def test_task_that_is_unknown_for_a_moment_is_not_lost(server: ComfyServer) -> None:
    async with opened(server) as provider:
        task_id = await submit(provider)
        await finished(provider, task_id)
        (server.folder / "output" / f"{task_id}_00001_.png").unlink()
        for hidden in (1, 2):
            server.hidden = hidden
            assert (await provider.status(task_id)).state is TaskState.COMPLETED
            server.hidden = hidden
            assert await provider.exists(task_id)


async def test_unreachable_server_is_no_proof_that_a_task_is_not_there(
    server: ComfyServer,
) -> None:
    await server.kill()
    async with opened(server) as provider:
        assert (await failure_of(provider.exists(TASK))).failure is Failure.UNSENT
        assert (await failure_of(provider.status(TASK))).failure is Failure.UNSENT


# --- uploads ---


async def test_upload_is_stored_by_content_and_used_by_its_returned_name(
    server: ComfyServer,
) -> None:
    graph = a_graph()
    graph["7"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
    async with opened(server, cards=graph) as provider:
        first = await provider.upload("photo.PNG", b"one")
        other = await provider.upload("photo.PNG", b"two")
        again = await provider.upload("holiday.png", b"one")
        await submit(provider, {"7": {"image": first}})

    assert first == again != other
    assert first.endswith(".png")
    assert server._input(first).read_bytes() == b"one"
    assert server._input(other).read_bytes() == b"two"


async def test_server_without_the_upload_gets_it_from_another(tmp_path: Path) -> None:
    graph = a_graph()
    graph["7"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
    async with running(tmp_path, 2, seconds=60) as (first, second):
        await second.kill()
        async with opened(first, second, cards=graph) as provider:
            value = await provider.upload("photo.png", b"one")
            await second.start()
            await anyio.sleep(30)
            await submit(provider, {"7": {"image": value}})
            await submit(provider, {"7": {"image": value}})

        assert [len(one.executed) for one in (first, second)] == [1, 1]
        assert second._input(value).read_bytes() == b"one"


# --- several servers ---


async def test_slow_server_gets_less(tmp_path: Path) -> None:
    async with running(tmp_path, 2) as (slow, fast):
        slow.seconds, fast.seconds = 60, 5
        async with opened(slow, fast) as provider:
            assert provider.capabilities.max_in_flight == 4
            left, open_tasks = 20, set[str]()
            while left or open_tasks:
                if left and len(open_tasks) < 4:
                    open_tasks.add(await submit(provider))
                    left -= 1
                    continue
                for task_id in list(open_tasks):
                    if (await provider.status(task_id)).state.final:
                        open_tasks.remove(task_id)
                await anyio.sleep(0.5)

    assert len(slow.executed) + len(fast.executed) == 20
    assert len(fast.executed) > 3 * len(slow.executed)


async def test_unreachable_server_keeps_its_tasks_and_gets_no_new(tmp_path: Path) -> None:
    async with (
        running(tmp_path, 2, seconds=60) as (first, second),
        opened(first, second) as provider,
    ):
        tasks = [await submit(provider) for _ in range(2)]
        await anyio.sleep(1)
        lost = first.executed[0]
        await first.kill()

        assert set(tasks) == {lost, second.executed[0]}
        assert (await failure_of(provider.status(lost))).failure is Failure.UNSENT
        new = [await submit(provider) for _ in range(3)]
        assert {one[0] for one in second.pending} == set(new)

        await first.start()
        assert (await provider.status(lost)).state is TaskState.LOST
        await anyio.sleep(15)
        back = await submit(provider)
        await anyio.sleep(1)
        assert first.executed[-1] == back


async def test_later_run_finds_out_which_server_has_a_task(tmp_path: Path) -> None:
    async with running(tmp_path, 2, seconds=60) as (first, second):
        async with opened(first, second) as provider:
            tasks = [await submit(provider) for _ in range(2)]
        await anyio.sleep(1)
        async with opened(second, first) as provider:
            assert {(await provider.status(one)).state for one in tasks} == {TaskState.RUNNING}
        await second.kill()
        on_second = second.executed[0]
        async with opened(first, second) as provider:
            assert await provider.exists(first.executed[0])
            # Only the server that is down can have it.
            assert (await failure_of(provider.exists(on_second))).failure is Failure.UNSENT
            assert (await failure_of(provider.status(on_second))).failure is Failure.UNSENT


async def test_server_that_goes_down_leaves_the_submission_to_another(tmp_path: Path) -> None:
    async with running(tmp_path, 2, seconds=60) as (first, second):
        await first.kill()
        async with opened(first, second) as provider:
            await submit(provider)
            await second.kill()
            await anyio.sleep(20)

            assert (await failure_of(submit(provider))).failure is Failure.UNSENT
    assert len(second.executed) + len(second.pending) == 1


async def test_server_that_does_not_answer_gets_nothing_until_it_does(tmp_path: Path) -> None:
    async with running(tmp_path, 2, seconds=60) as (first, second):
        first.hangs = True
        began = anyio.current_time()
        async with opened(first, second) as provider:
            on_second = [await submit(provider) for _ in range(2)]
            waited = anyio.current_time() - began
            first.hangs = False
            await anyio.sleep(20)
            on_first = await submit(provider)
            await anyio.sleep(1)

    assert waited < 15
    assert first.executed == [on_first]
    assert {*second.executed, *(one[0] for one in second.pending)} == set(on_second)


# --- the wrong server ---


async def test_another_program_is_refused_when_the_provider_is_opened() -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>Hello</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with pytest.raises(UsageError, match=f"{url} is not a ComfyUI server"):
        async with opened(url):
            pass
    await runner.cleanup()


async def test_server_that_is_too_old_is_refused(tmp_path: Path) -> None:
    async with ComfyServer(tmp_path, version="0.3.40") as server:
        with pytest.raises(UsageError, match=r"is 0\.3\.40; 0\.3\.45 or later is needed"):
            async with opened(server):
                pass


async def test_wrong_server_that_was_down_at_first_stops_submitting(tmp_path: Path) -> None:
    async with ComfyServer(tmp_path, version="0.3.40") as server:
        await server.kill()
        async with opened(server) as provider:
            assert (await failure_of(submit(provider))).failure is Failure.UNSENT
            await server.start()
            error = await failure_of(submit(provider))

    assert error.failure is Failure.FORBIDDEN
    assert "or later is needed" in str(error)


async def test_wrong_server_is_no_proof_that_a_task_is_not_there(tmp_path: Path) -> None:
    async def nothing(request: web.Request) -> web.Response:
        return web.json_response({"error": "not found"}, status=404)

    async with ComfyServer(tmp_path) as server, opened(server) as provider:
        task_id = await submit(provider)
        await server.kill()
        await failure_of(provider.status(task_id))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", nothing)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", server.port, reuse_address=True).start()

        for call in (provider.status(task_id), provider.exists(task_id)):
            error = await failure_of(call)
            assert error.failure is Failure.FORBIDDEN
            assert "is not a ComfyUI server" in str(error)
        await runner.cleanup()


@pytest.mark.parametrize("path", ["/object_info", "/system_stats"])
async def test_check_that_fails_leaves_the_submission_unsent(tmp_path: Path, path: str) -> None:
    async with ComfyServer(tmp_path) as server:
        server.broken = path
        async with opened(server) as provider:
            assert (await failure_of(submit(provider))).failure is Failure.UNSENT
            server.broken = ""
            await submit(provider)

    assert [request[:2] for request in server.requests].count(("POST", "/prompt")) == 1


async def test_token_is_sent_with_each_request_to_the_server(tmp_path: Path) -> None:
    async with ComfyServer(tmp_path, token="a-long-token") as server:
        async with opened(server, key="a-long-token") as provider:
            task_id = await submit(provider)
            await finished(provider, task_id)
            (url,) = await provider.result(task_id)
            assert await downloaded(provider, url)
        async with opened(server, key="another-token") as provider:
            error = await failure_of(submit(provider))
        async with opened(server) as provider:
            keyless = await failure_of(provider.status(task_id))

    assert error.failure is keyless.failure is Failure.FORBIDDEN
    assert str(error).endswith("/system_stats: HTTP 401; it wants a key")


async def test_token_does_not_follow_a_download_to_another_server(tmp_path: Path) -> None:
    async with (
        ComfyServer(tmp_path, token="a-long-token") as server,
        ComfyServer(tmp_path) as other,
        opened(server, key="a-long-token") as provider,
    ):
        task_id = await submit(provider)
        await finished(provider, task_id)
        server.moved_to = other.url
        (url,) = await provider.result(task_id)
        assert await downloaded(provider, url)

    assert set(server.keys) == {"Bearer a-long-token"}
    assert other.keys == [None]
