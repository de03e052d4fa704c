"""Find the files of a task that a server has forgotten, by their names.

After a crash of the server its queue and its history are empty, and the files are there. The last
one may have been cut off, and a task that was interrupted has stored only some.
"""

from __future__ import annotations

from batch_runner.errors import FileRejected
from batch_runner.media import check
from batch_runner.providers.comfyui.graph import Files, prefixes
from batch_runner.providers.comfyui.responses import File
from batch_runner.providers.comfyui.server import Server

#: What the names of an output node's first file end with: the nodes of ComfyUI, then others'.
ENDINGS = (
    *("_.png", "_.webp", "_.jpg", "_.jpeg", "_.gif", "_.mp4", "_.webm", "_.mkv", "_.mov"),
    *("_.flac", "_.mp3", "_.opus", "_.wav", "_.glb", "_.svg", "_.txt", "_.latent", "_.safetensors"),
    *(".mp4", ".webm", ".gif", ".webp"),
)


async def saved_files(server: Server, task_id: str) -> list[list[File]]:
    """Return the files of each node that saves some: [] if there is none."""
    found = []
    for prefix in prefixes(task_id):
        files = await _numbered(server, prefix)
        if not files:
            break
        found.append(files)
    return found


async def all_saved(server: Server, task_id: str, least: Files) -> list[File]:
    """Return the files of a task, [] unless there are as many as there must be, and complete."""
    found = await saved_files(server, task_id)
    if len(found) < least.nodes or any(len(files) < least.each for files in found):
        return []
    for files in found:  # a node saves one after the other
        if not await _is_complete(server, files[-1]):
            return []
    return [file for files in found for file in files]


async def _numbered(server: Server, prefix: str) -> list[File]:
    files: list[File] = []
    endings: tuple[str, ...] = ENDINGS
    while True:
        name = f"{prefix}_{len(files) + 1:05}"
        for ending in endings:
            file = File(name + ending)
            if await server.has(file):
                files.append(file)
                endings = (ending,)
                break
        else:
            return files


async def _is_complete(server: Server, file: File) -> bool:
    content = bytearray()
    try:
        received = await server.download(server.url_of(file), content.extend)
        check(bytes(content), length_known=received.length_known, declared=received.types)
    except FileRejected:
        return False
    return True
