"""What every file store must do; each implementation is a `param` of `host`."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import anyio.to_thread
import pytest

from batch_runner.errors import DiskFailed, FileNotAccepted, FileRejected
from batch_runner.jobdir.paths import JobFolder
from batch_runner.media import DEFAULT_KINDS, Kind
from batch_runner.models import PlacedFile, Received
from batch_runner.storage.base import FileStore, SetAside
from batch_runner.storage.folder_store import FolderStore
from batch_runner.storage.object_store import ObjectStore
from batch_runner.util.object_store import ObjectPrefix
from tests.harness.images import png_bytes
from tests.harness.object_store import object_server

pytestmark = pytest.mark.anyio

ENOUGH = 50_000_000


class Host(Protocol):
    """An implementation, and the view of its files from outside."""

    failure: str  #: what a broken store says

    def store(
        self, max_bytes: int = ENOUGH, kinds: Sequence[Kind] = DEFAULT_KINDS
    ) -> FileStore: ...

    def put(self, name: str, content: bytes) -> None: ...

    def files(self) -> dict[str, bytes]: ...

    def leftovers(self) -> list[str]: ...

    def break_down(self) -> None: ...


class FolderHost:
    def __init__(self, root: Path) -> None:
        self._folder = JobFolder(root)
        self._folder.prepare()
        self.failure = f"cannot store files in {root}: No such file"

    def store(self, max_bytes: int = ENOUGH, kinds: Sequence[Kind] = DEFAULT_KINDS) -> FileStore:
        clock = asyncio.get_running_loop().time
        offload = anyio.to_thread.run_sync
        return FolderStore(
            self._folder, max_bytes=max_bytes, kinds=kinds, offload=offload, clock=clock
        )

    def put(self, name: str, content: bytes) -> None:
        (self._folder.root / name).write_bytes(content)

    def files(self) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes() for path in self._folder.root.iterdir() if path.is_file()
        }

    def leftovers(self) -> list[str]:
        return [path.name for path in self._folder.parts.iterdir()]

    def break_down(self) -> None:
        self._folder.parts.rmdir()
        self._folder.batch.rename(self._folder.root / "elsewhere")


class ObjectHost:
    """Objects in a bucket of a real server."""

    def __init__(self, root: Path) -> None:
        self._folder = JobFolder(root)
        self._folder.prepare()
        self._bucket = object_server().new_bucket()
        self._address = f"s3://{self._bucket.name}/year/of the horse"
        self.failure = f"cannot store files in {self._address}: the bucket does not exist"

    def store(self, max_bytes: int = ENOUGH, kinds: Sequence[Kind] = DEFAULT_KINDS) -> FileStore:
        return ObjectStore(
            ObjectPrefix(self._address),
            self._folder,
            max_bytes=max_bytes,
            kinds=kinds,
            offload=anyio.to_thread.run_sync,
            clock=asyncio.get_running_loop().time,
        )

    def put(self, name: str, content: bytes) -> None:
        self._bucket.put(f"year/of the horse/{name}", content)

    def files(self) -> dict[str, bytes]:
        objects = self._bucket.objects().items()
        return {name.removeprefix("year/of the horse/"): content for name, content in objects}

    def leftovers(self) -> list[str]:
        return [path.name for path in self._folder.parts.iterdir()]

    def break_down(self) -> None:
        self._bucket.request("DELETE")
        self._folder.parts.rmdir()
        self._folder.batch.rename(self._folder.root / "elsewhere")


def object_host(root: Path, patch: pytest.MonkeyPatch) -> Host:
    for name, value in object_server().environment.items():
        patch.setenv(name, value)
    return ObjectHost(root)


def folder_host(root: Path, _: pytest.MonkeyPatch) -> Host:
    return FolderHost(root)


def folder_host_without_unnamed_files(root: Path, patch: pytest.MonkeyPatch) -> Host:
    """Return a host whose file system cannot create unnamed files."""
    patch.delattr(os, "O_TMPFILE")
    return FolderHost(root)


@pytest.fixture(
    params=[
        pytest.param(folder_host, id="folder"),
        pytest.param(folder_host_without_unnamed_files, id="folder-named-files"),
        pytest.param(object_host, id="objects"),
    ]
)
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    make: Callable[[Path, pytest.MonkeyPatch], Host] = request.param
    return make(tmp_path / "out", monkeypatch)


async def place(
    store: FileStore, data: bytes, name: str = "card", chunk: int = 65536
) -> PlacedFile:
    file = store.new_file()
    try:
        for at in range(0, len(data), chunk):
            if (written := file.write(data[at : at + chunk])) is not None:
                await written
        return await file.place(name)
    finally:
        file.discard()


@pytest.mark.parametrize("chunk", [7, 65536])
async def test_complete_file_is_placed_with_its_extension(host: Host, chunk: int) -> None:
    data = png_bytes()

    placed = await place(host.store(), data, chunk=chunk)

    assert host.files() == {"card.png": data}
    assert host.leftovers() == []
    assert placed == PlacedFile(
        name="card.png",
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/png",
    )


async def test_large_file_is_placed_complete(host: Host) -> None:
    data = png_bytes(noise=700)
    assert len(data) > 1 << 20

    placed = await place(host.store(), data)

    assert placed.sha256 == hashlib.sha256(data).hexdigest()
    assert host.files() == {"card.png": data}
    assert host.leftovers() == []


async def test_existing_file_is_not_overwritten(host: Host) -> None:
    host.put("card.png", b"somebody else's")
    data = png_bytes()

    placed = await place(host.store(), data)

    assert placed.name == f"card~{hashlib.sha256(data).hexdigest()[:8]}.png"
    assert host.files() == {"card.png": b"somebody else's", placed.name: data}


async def test_two_files_of_one_name_are_both_kept(host: Host) -> None:
    store = host.store()

    first, second = await asyncio.gather(
        place(store, png_bytes("red")), place(store, png_bytes("blue"))
    )

    assert first.name != second.name
    assert host.files() == {first.name: png_bytes("red"), second.name: png_bytes("blue")}


async def test_existing_file_with_the_same_bytes_is_taken(host: Host) -> None:
    data = png_bytes()
    await place(host.store(), data)

    again = await place(host.store(), data)

    assert again.name == "card.png"
    assert host.files() == {"card.png": data}
    assert host.leftovers() == []


@pytest.mark.parametrize(
    "data", [png_bytes()[:-5], png_bytes(noise=700)[:-5]], ids=["small", "large"]
)
async def test_cut_off_file_is_rejected_and_leaves_nothing(host: Host, data: bytes) -> None:
    with pytest.raises(FileRejected, match="cut off"):
        await place(host.store(), data)

    assert host.files() == {}
    assert host.leftovers() == []


async def test_empty_file_is_rejected(host: Host) -> None:
    with pytest.raises(FileRejected, match="empty"):
        await place(host.store(), b"")


async def test_file_above_the_largest_size_is_rejected(host: Host) -> None:
    data = png_bytes()

    await place(host.store(max_bytes=len(data)), data)

    with pytest.raises(FileRejected, match=f"larger than {len(data) - 1} bytes"):
        await place(host.store(max_bytes=len(data) - 1), data, name="other")
    assert host.files() == {"card.png": data}


async def test_file_without_a_free_name_fails_and_overwrites_nothing(host: Host) -> None:
    data, sha256 = png_bytes(), hashlib.sha256(png_bytes()).hexdigest()
    for name in ("card", f"card~{sha256[:8]}", f"card~{sha256[:16]}"):
        host.put(f"{name}.png", b"taken")

    with pytest.raises(DiskFailed, match=r"no free name for card\.png"):
        await place(host.store(), data)

    assert set(host.files().values()) == {b"taken"}


async def test_discard_may_be_called_twice(host: Host) -> None:
    file = host.store().new_file()
    file.write(png_bytes())

    file.discard()
    file.discard()

    assert host.files() == {}
    assert host.leftovers() == []


async def test_cancelled_place_does_not_disturb_other_files(host: Host) -> None:
    store = host.store()
    await place(store, png_bytes("red"), "first")
    cancelled = asyncio.create_task(place(store, png_bytes("green"), "cancelled"))
    await asyncio.sleep(0)
    kept = asyncio.create_task(place(store, png_bytes("blue"), "kept"))
    await asyncio.sleep(0)

    cancelled.cancel()

    assert (await kept).name == "kept.png"


async def test_broken_store_is_reported_with_its_location(host: Host) -> None:
    store = host.store()
    assert store.free_bytes() > 0
    host.break_down()

    with pytest.raises(DiskFailed, match=store.location):
        store.free_bytes()
    with pytest.raises(DiskFailed, match=host.failure):
        await place(store, png_bytes())


MP3 = b"\xff\xfb\x90\x00" + bytes(range(256))
SVG = b"<svg></svg>"


async def set_aside(store: FileStore, data: bytes, *, length_known: bool = True) -> SetAside:
    """Receive a file that is not accepted."""
    file = store.new_file()
    try:
        file.write(data)
        file.received = Received(length_known=length_known)
        with pytest.raises(FileNotAccepted):
            await file.place("card")
        return await file.set_aside("a" * 32, "card")
    finally:
        file.discard()


async def test_kept_bytes_are_placed_when_their_kind_is_accepted(host: Host) -> None:
    kept = await set_aside(host.store(), SVG)
    assert kept.place is not None
    assert await host.store().place_kept("a" * 32, "card") is None

    placed = await host.store(kinds=("svg",)).place_kept("a" * 32, "card")

    assert placed is not None
    assert placed.media_type == "image/svg+xml"
    assert host.files() == {"card.svg": SVG}
    assert host.leftovers() == []


async def test_kept_bytes_of_unknown_length_are_never_placed(host: Host) -> None:
    await set_aside(host.store(), MP3, length_known=False)

    assert await host.store(kinds=("audio",)).place_kept("a" * 32, "card") is None
    assert host.files() == {}
    assert host.leftovers() == []


async def test_cleared_bytes_are_gone(host: Host) -> None:
    store = host.store(kinds=("image",))
    await store.clear_aside("a" * 32)
    await set_aside(store, SVG)
    await store.clear_aside("a" * 32)

    assert await host.store(kinds=("svg",)).place_kept("a" * 32, "card") is None
    assert not (await set_aside(store, SVG)).again


async def test_name_too_long_for_its_extension_is_cut(host: Host) -> None:
    data = bytes([20, 0, 0, 0, 0, 0, 0, 0]) + b'{"weights": [1,2,3]}' + bytes(20)
    file = host.store().new_file()
    file.write(data)
    file.received = Received(length_known=True)

    placed = await file.place("x" * 247)

    assert len(placed.name) <= 255
    assert placed.name.endswith(f"~{placed.sha256[:8]}.safetensors")
