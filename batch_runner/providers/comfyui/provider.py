"""The user's own ComfyUI servers, as one provider.

Work goes to the server with the fewest tasks. A server executes one at a time, so a slow one gets
less. Which server has a task is not recorded: a new run asks each. A server that cannot be reached
gets nothing new and keeps its tasks; only a server that is reached can have lost one.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from batch_runner.errors import ApiError, Failure
from batch_runner.models import Received, TaskReport, TaskState
from batch_runner.providers.base import Capabilities, Receiver, RequestIds, Submitted
from batch_runner.providers.comfyui.checks import check_graph, outdated_classes
from batch_runner.providers.comfyui.graph import (
    Files,
    Graph,
    classes_of,
    files_of,
    laid_over,
    name_files,
)
from batch_runner.providers.comfyui.pool import Pool, ask, identify_all, nothing_sent
from batch_runner.providers.comfyui.responses import File, Job, output_files
from batch_runner.providers.comfyui.saved import all_saved, saved_files
from batch_runner.providers.comfyui.server import Server, WrongServer
from batch_runner.providers.comfyui.uploads import upload_name, uploads_in, with_names
from batch_runner.providers.http import Http
from batch_runner.settings import Service, Settings

#: Tasks in flight for each server: one that runs, and one that follows it.
IN_FLIGHT_PER_SERVER = 2
#: How often a server is asked before it is believed not to know a task, and seconds in between.
LOOKS, LOOK_AGAIN_AFTER = 3, 2.0


@asynccontextmanager
async def open_comfyui(service: Service, settings: Settings) -> AsyncIterator[ComfyUI]:
    """Open the connections to the servers of `service`, some of which may be down.

    Raises:
        UsageError: another program is at one of the addresses, or a server is too old.
    """
    urls = dict.fromkeys(url.rstrip("/") for url in service.base_urls or (service.base_url,))
    servers = []
    async with AsyncExitStack() as connections:
        for url in urls:
            own = service.model_copy(update={"base_url": url})
            http = await connections.enter_async_context(Http(own, settings))
            servers.append(Server(http, settings.retries.not_accepted_statuses))
        await identify_all(servers)
        yield ComfyUI(servers, service.workflows)


class ComfyUI:
    """The calls of the servers; `Provider` documents them."""

    def __init__(self, servers: Sequence[Server], workflows: Mapping[str, Any]) -> None:
        """`workflows` are the graphs of the workflow files by what the manifest calls them."""
        self._servers = list(servers)
        self._pool = Pool(servers)
        self._workflows = workflows
        self._where: dict[str, Server] = {}  # task id → the server that has it
        self._least: dict[str, Files] = {}  # task id → what its files must be at least

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            request_ids=RequestIds.TASK_ID,
            free=True,
            cancel=True,
            max_in_flight=IN_FLIGHT_PER_SERVER * len(self._servers),
            version="1",
        )

    async def submit(
        self, workflow: str, params: dict[str, Any], request_id: str | None = None
    ) -> Submitted:
        """Queue the workflow with `params` at the server with the fewest tasks.

        If that one turns out to be unreachable before anything was sent, the next one gets it.
        """
        task_id = request_id or str(uuid.uuid4())
        file = self._workflow(workflow)
        graph = laid_over(file, params, workflow)
        name_files(graph, task_id)
        tried: list[Server] = []
        while True:
            with nothing_sent():
                server = await self._pool.take(tried)
            try:
                with nothing_sent():
                    classes = await self._prepared(server, graph)
                    check_graph(graph, file, params, classes, self._named(workflow, server))
                self._where[task_id], self._least[task_id] = server, files_of(graph)
                own_id = await server.submit(_for(server, graph), task_id)
            except ApiError as error:
                if error.failure is not Failure.UNSENT:
                    raise
                self._where.pop(task_id, None)
                tried.append(server)
                if len(tried) == len(self._servers):
                    raise
            else:
                self._where[own_id] = server
                return Submitted(task_id=own_id)
            finally:
                server.sending -= 1

    def _workflow(self, name: str) -> Mapping[str, Any]:
        if name not in self._workflows:
            raise ApiError(f"the workflow file {name} was not read", failure=Failure.FORBIDDEN)
        graph: Mapping[str, Any] = self._workflows[name]
        return graph

    def _named(self, workflow: str, server: Server) -> str:
        """Return how a message names a workflow that one server refuses."""
        return workflow if len(self._servers) == 1 else f"{server.url}: {workflow}"

    async def _prepared(self, server: Server, graph: Graph) -> dict[str, Any]:
        """Make sure that the server has the uploads; return what it says of the classes."""
        try:
            await server.identify()
        except WrongServer as error:
            raise ApiError(str(error), failure=Failure.FORBIDDEN) from None
        for value in uploads_in(graph):
            await self._pool.bring_upload(server, value)
        classes = await server.classes(classes_of(graph))
        if outdated := outdated_classes(graph, classes):
            classes = await server.classes(outdated, anew=True)
        return classes

    async def exists(self, task_id: str) -> bool:
        """Return whether a server has the task, or files of it."""
        for look in range(LOOKS):
            if look:
                await anyio.sleep(LOOK_AGAIN_AFTER)
            if await self._find(task_id) is not None:
                return True
            for server in self._candidates(task_id):
                if await saved_files(server, task_id):
                    self._where[task_id] = server
                    return True
        return False

    async def cancel(self, task_id: str) -> None:
        """Cancel the task at the server that has it."""
        found = await self._find(task_id)
        if found is not None:
            await found[0].cancel(task_id)

    async def status(self, task_id: str) -> TaskReport:
        """Return the task's status; LOST only after several looks, and without its files."""
        for look in range(LOOKS):
            if look:
                await anyio.sleep(LOOK_AGAIN_AFTER)
            if (found := await self._find(task_id)) is not None:
                job = found[1]
                return TaskReport(state=job.state, word=job.word, message=job.message)
            if await self._saved(task_id, self._least_of(task_id)) is not None:
                return TaskReport(state=TaskState.COMPLETED, word="saved")
        return TaskReport(
            state=TaskState.LOST,
            word="lost",
            message="the server does not know the task any more and has no files of it",
        )

    async def result(self, task_id: str) -> list[str]:
        """Return the URLs of the files that the task has stored."""
        found = await self._find(task_id)
        if found is not None:
            server, job = found
            return [server.url_of(file) for file in _result_files(job)]
        saved = await self._saved(task_id, Files())  # it is finished: there are no more
        if saved is None:
            raise ApiError(
                "result: the server knows neither the task nor files of it",
                failure=Failure.NOT_FOUND,
                status=404,
            )
        return [saved[0].url_of(file) for file in saved[1]]

    async def upload(self, name: str, content: bytes) -> str:
        """Upload a file to every server that can be reached; return its name at the first."""
        stored_as = upload_name(name, content)
        found, errors = await ask(self._servers, lambda server: server.upload(stored_as, content))
        if not found:
            raise errors[0]
        value = found[0][1]
        for server, own_name in found:
            server.names[value] = own_name
        return value

    async def download(self, url: str, receive: Receiver) -> Received:
        """Download a file from the server that has it."""
        for server in self._servers:
            if url.startswith(f"{server.url}/"):
                return await server.download(url, receive)
        raise ApiError("the file is on none of the servers", failure=Failure.REJECTED)

    def _least_of(self, task_id: str) -> Files:
        """Return what the files of a finished task are at least; of an earlier run's, guess."""
        if (known := self._least.get(task_id)) is not None:
            return known
        return _least(files_of(graph) for graph in self._workflows.values())

    def _candidates(self, task_id: str) -> list[Server]:
        """Return the servers that may have the task."""
        known = self._where.get(task_id)
        return self._servers if known is None else [known]

    async def _find(self, task_id: str) -> tuple[Server, Job] | None:
        """Return the task and its server, None if no server knows it.

        Raises:
            ApiError: a server that may have it cannot be asked, and no other one has it.
        """
        found, errors = await ask(self._candidates(task_id), lambda server: server.job(task_id))
        for server, job in found:
            if job is not None:
                self._where[task_id] = server
                return server, job
        if errors:
            raise errors[0]
        return None

    async def _saved(self, task_id: str, least: Files) -> tuple[Server, list[File]] | None:
        """Return the files of a task that no server knows any more, None unless all are there."""
        for server in self._candidates(task_id):
            if files := await all_saved(server, task_id, least):
                self._where[task_id] = server
                return server, files
        return None


def _least(each: Iterable[Files]) -> Files:
    """Return what the files of a task are at least, of whichever workflow it is."""
    found = list(each) or [Files()]
    return Files(min(one.nodes for one in found), min(one.each for one in found))


def _result_files(job: Job) -> list[File]:
    if job.state in (TaskState.FAILED, TaskState.CANCELED):
        detail = f": {job.message}" if job.message else ""
        raise ApiError(f"result: the task is {job.word}{detail}", failure=Failure.TASK_FAILED)
    if job.state is not TaskState.COMPLETED:
        raise ApiError(f"result: the task is {job.word}", failure=Failure.NO_RESPONSE)
    if files := output_files(job.outputs):
        return files
    raise ApiError(
        "result: the workflow stored no file, only previews at most; add a Save Image node",
        failure=Failure.TASK_FAILED,
    )


def _for(server: Server, graph: Graph) -> Graph:
    """Return `graph` with what `server` calls the uploaded files."""
    named = copy.deepcopy(graph)
    with_names(named, server.names)
    return named
