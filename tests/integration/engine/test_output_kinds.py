"""Results that are no pictures: kept, or set aside until the settings accept them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from batch_runner.lifecycle import ItemStatus
from batch_runner.media import DEFAULT_KINDS, Kind
from batch_runner.settings import Downloads, Output, Settings
from batch_runner.simulator import Simulator
from batch_runner.storage.folder_store import FolderFile
from tests.harness import (
    check_invariants,
    rows,
    run_job,
    simulated_service,
    some_items,
    some_settings,
    statuses,
)

pytestmark = pytest.mark.anyio

MEDIA = {
    "jpeg": ".jpg",
    "gif": ".gif",
    "tiff": ".tif",
    "bmp": ".bmp",
    "avif": ".avif",
    "exr": ".exr",
    "mp4": ".mp4",
    "webm": ".webm",
    "mp3": ".mp3",
    "wav": ".wav",
    "flac": ".flac",
    "glb": ".glb",
    "obj": ".obj",
    "zip": ".zip",
    "bin": ".bin",
}
TEXTS = {"svg": ".svg", "txt": ".txt", "csv": ".csv", "json": ".json", "html": ".html"}


def accepting(*kinds: Kind, max_bytes: int | None = None) -> Settings:
    """Return settings that accept these kinds as well."""
    output = Output(kinds=(*DEFAULT_KINDS, *kinds))
    downloads = Downloads() if max_bytes is None else Downloads(max_bytes=max_bytes)
    return some_settings().model_copy(update={"output": output, "downloads": downloads})


def files_in(root: Path) -> list[str]:
    return sorted(one.name for one in root.iterdir() if not one.name.startswith("."))


def aside_in(root: Path) -> list[str]:
    folder = root / ".batch" / "aside"
    return sorted(one.name for one in folder.rglob("*") if one.is_file())


def downloads_of(simulator: Simulator) -> int:
    return sum(task.downloads for task in simulator.ledger.submissions)


@pytest.mark.parametrize("kind", MEDIA)
async def test_binary_result_is_kept_with_its_extension(kind: str, tmp_path: Path) -> None:
    faults = (f"other_kind:kind={kind}", "url_ending:value=dat")
    async with simulated_service(*faults) as simulator:
        await run_job(tmp_path, simulator, some_items(2))

        assert statuses(tmp_path) == {ItemStatus.DONE: 2}
        assert files_in(tmp_path) == [f"card-{number}{MEDIA[kind]}" for number in (0, 1)]
        assert check_invariants(tmp_path, simulator) == []
        assert downloads_of(simulator) == 2


@pytest.mark.parametrize("kind", TEXTS)
async def test_text_is_set_aside_until_the_settings_accept_it(kind: str, tmp_path: Path) -> None:
    setting: Kind = "svg" if kind == "svg" else "text"
    wanted = f"output.kinds: [image, video, audio, model, other, {setting}]"
    async with simulated_service(f"other_kind:kind={kind}") as simulator:
        await run_job(tmp_path, simulator, some_items(1))
        tried = downloads_of(simulator)

        [row] = rows(tmp_path)
        [kept] = aside_in(tmp_path)
        assert (row.status, row.reason) == (ItemStatus.DOWNLOAD_PENDING, "kind-not-accepted")
        assert wanted in (row.message or "")
        assert (row.message or "").endswith(f"/{kept}")
        assert kept == f"card-0{TEXTS[kind]}"
        assert files_in(tmp_path) == []
        assert tried == 2  # the second shows that it is no passing error page

        await run_job(tmp_path, simulator, some_items(1))
        assert downloads_of(simulator) == tried + 1

        await run_job(tmp_path, simulator, some_items(1), accepting(setting))
        assert files_in(tmp_path) == [f"card-0{TEXTS[kind]}"]
        assert check_invariants(tmp_path, simulator) == []
        assert aside_in(tmp_path) == []
        assert len(simulator.ledger.submissions) == 1


async def test_text_set_aside_is_used_if_it_cannot_be_downloaded_again(tmp_path: Path) -> None:
    async with simulated_service("other_kind:kind=svg") as simulator:
        await run_job(tmp_path, simulator, some_items(1))
        simulator.set_faults("missing:download")
        await run_job(tmp_path, simulator, some_items(1))
        assert statuses(tmp_path) == {ItemStatus.DOWNLOAD_PENDING: 1}

        await run_job(tmp_path, simulator, some_items(1), accepting("svg"))

        assert files_in(tmp_path) == ["card-0.svg"]
        assert check_invariants(tmp_path, simulator) == []
        assert aside_in(tmp_path) == []


async def test_text_set_aside_is_used_if_its_task_is_forgotten(tmp_path: Path) -> None:
    async with simulated_service("other_kind:kind=svg") as simulator:
        await run_job(tmp_path, simulator, some_items(1))
        simulator.set_faults("forget:status")
        await run_job(tmp_path, simulator, some_items(1))
        [row] = rows(tmp_path)
        assert row.reason == "task-unknown"
        assert "write output.kinds: [image, video, audio, model, other, svg]" in (row.message or "")
        assert (row.message or "").endswith("/card-0.svg are the result")

        await run_job(tmp_path, simulator, some_items(1), accepting("svg"))

        assert statuses(tmp_path) == {ItemStatus.DONE: 1}
        assert files_in(tmp_path) == ["card-0.svg"]
        assert check_invariants(tmp_path, simulator) == []
        assert aside_in(tmp_path) == []


async def test_error_page_does_not_replace_the_result_set_aside(tmp_path: Path) -> None:
    async with simulated_service("other_kind:kind=svg") as simulator:
        await run_job(tmp_path, simulator, some_items(1))
        for page in ("html_as_png", "other_kind:kind=html", "other_kind:kind=txt"):
            simulator.set_faults(page)
            await run_job(tmp_path, simulator, some_items(1))
        assert aside_in(tmp_path) == ["card-0.2.txt", "card-0.svg"]

        simulator.set_faults("missing:download")
        await run_job(tmp_path, simulator, some_items(1), accepting("svg"))

        assert files_in(tmp_path) == ["card-0.svg"]


async def test_page_for_a_picture_is_no_text_result(tmp_path: Path) -> None:
    async with simulated_service("html_as_png") as simulator:
        await run_job(tmp_path, simulator, some_items(1), accepting("text"))

        [row] = rows(tmp_path)
        assert row.reason == "bad-file"
        assert "declared as image/png, but is text/html" in (row.message or "")
        assert aside_in(tmp_path) == ["card-0.html.unverified"]

        simulator.set_faults()
        await run_job(tmp_path, simulator, some_items(1))
        assert statuses(tmp_path) == {ItemStatus.DONE: 1}
        assert aside_in(tmp_path) == []


async def test_kind_that_is_not_listed_is_set_aside(tmp_path: Path) -> None:
    settings = some_settings().model_copy(update={"output": Output(kinds=("image",))})
    async with simulated_service("other_kind:kind=webm") as simulator:
        await run_job(tmp_path, simulator, some_items(1), settings)
        [row] = rows(tmp_path)
        assert "write output.kinds: [image, video]" in (row.message or "")
        assert downloads_of(simulator) == 1

        await run_job(tmp_path, simulator, some_items(1), settings)
        [again] = rows(tmp_path)
        assert (again.status, again.message) == (row.status, row.message)
        assert downloads_of(simulator) == 1  # its bytes are there

        await run_job(tmp_path, simulator, some_items(1))
        assert files_in(tmp_path) == ["card-0.webm"]


async def test_job_of_results_that_are_not_accepted_stops_paying(tmp_path: Path) -> None:
    async with simulated_service("other_kind:kind=svg", service_time="1") as simulator:
        settings = some_settings(rate="2/s", in_flight=20)
        stopped = await run_job(tmp_path, simulator, some_items(200), settings)

    assert stopped.stop is not None
    assert stopped.stop.reason == "breaker"
    assert "output.kinds" in stopped.stop.message
    assert stopped.paid < 120


async def test_other_files_of_a_task_are_kept_beside_a_bad_one(tmp_path: Path) -> None:
    fault = "other_kind:kind=svg:number=2"
    async with simulated_service(fault, outputs=3) as simulator:
        await run_job(tmp_path, simulator, some_items(1))

        [row] = rows(tmp_path)
        assert row.status is ItemStatus.DOWNLOAD_PENDING
        assert [file.name for file in row.files] == ["card-0-1.png", "card-0-3.png"]
        assert (row.message or "").startswith("2 of 3 files are stored; card-0-2: the file is ")
        assert files_in(tmp_path) == ["card-0-1.png", "card-0-3.png"]
        assert check_invariants(tmp_path, simulator) == []
        assert downloads_of(simulator) == 4

        simulator.set_faults("http:result:status=500")
        await run_job(tmp_path, simulator, some_items(1))
        assert [file.name for file in rows(tmp_path)[0].files] == ["card-0-1.png", "card-0-3.png"]

        simulator.set_faults(fault)
        await run_job(tmp_path, simulator, some_items(1), accepting("svg"))
        assert files_in(tmp_path) == ["card-0-1.png", "card-0-2.svg", "card-0-3.png"]
        assert check_invariants(tmp_path, simulator) == []


async def test_missing_file_does_not_hold_up_the_others(tmp_path: Path) -> None:
    fault = "missing:download:after=1:times=1"
    async with simulated_service(fault, outputs=3) as simulator:
        await run_job(tmp_path, simulator, some_items(1))

        assert statuses(tmp_path) == {ItemStatus.DONE: 1}
        assert downloads_of(simulator) == 3


async def test_crash_while_files_are_placed_leaves_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, count = FolderFile.place, itertools.count()

    async def crash_at_the_second(file: FolderFile, name: str) -> object:
        if next(count) == 1:
            raise RuntimeError("crash")
        return await place(file, name)

    async with simulated_service("other_kind:kind=mp3", outputs=3) as simulator:
        with monkeypatch.context() as patch:
            patch.setattr(FolderFile, "place", crash_at_the_second)
            with pytest.raises(ExceptionGroup):
                await run_job(tmp_path, simulator, some_items(1))
        assert 1 <= len(files_in(tmp_path)) <= 2  # those that were being placed

        await run_job(tmp_path, simulator, some_items(1))
        assert files_in(tmp_path) == ["card-0-1.mp3", "card-0-2.mp3", "card-0-3.mp3"]
        assert check_invariants(tmp_path, simulator) == []


@pytest.mark.parametrize("kind", ["", "webm", "glb", "zip", "wav", "mp4", "bmp"])
async def test_file_that_closes_needs_no_length(kind: str, tmp_path: Path) -> None:
    async with simulated_service(f"no_length:kind={kind}") as simulator:
        await run_job(tmp_path, simulator, some_items(1))
        assert check_invariants(tmp_path, simulator) == []

        simulator.set_faults(f"no_length:kind={kind}:bytes_missing=9")
        await run_job(tmp_path / "cut", simulator, some_items(1))
        assert statuses(tmp_path) == {ItemStatus.DONE: 1}
        assert statuses(tmp_path / "cut") == {ItemStatus.DOWNLOAD_PENDING: 1}


@pytest.mark.parametrize("kind", ["mp3", "flac", "exr", "bin"])
async def test_file_without_end_or_length_is_set_aside(kind: str, tmp_path: Path) -> None:
    async with simulated_service(f"no_length:kind={kind}", "url_ending:value=dat") as simulator:
        for _ in range(2):
            await run_job(tmp_path, simulator, some_items(1))
            [row] = rows(tmp_path)
            assert row.reason == "unknown-length"
            assert "may be cut off" in (row.message or "")
        assert aside_in(tmp_path) == [f"card-0.{kind}.unverified"]

        simulator.set_faults("missing:download")
        await run_job(tmp_path, simulator, some_items(1))
        assert files_in(tmp_path) == []

        simulator.set_faults(f"other_kind:kind={kind}", "url_ending:value=dat")
        await run_job(tmp_path, simulator, some_items(1))
        assert files_in(tmp_path) == [f"card-0.{kind}"]


@pytest.mark.parametrize("kind", ["", "glb", "webm", "zip"])
async def test_wrong_content_length_does_not_spoil_a_file_that_closes(
    kind: str, tmp_path: Path
) -> None:
    async with simulated_service(f"wrong_length:kind={kind}") as simulator:
        await run_job(tmp_path, simulator, some_items(2))

        assert statuses(tmp_path) == {ItemStatus.DONE: 2}
        assert check_invariants(tmp_path, simulator) == []


async def test_file_cut_off_by_the_network_is_not_set_aside(tmp_path: Path) -> None:
    async with simulated_service("wrong_length:kind=mp3") as simulator:
        await run_job(tmp_path, simulator, some_items(1))

        [row] = rows(tmp_path)
        assert row.reason == "no-response"
        assert aside_in(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        ("mislabelled:content_type=application/octet-stream", ".png"),
        ("mislabelled:content_type=IMAGE/PNG", ".png"),
        ("mislabelled:content_type=image/png;charset=utf-8", ".png"),
        ("mislabelled:content_type=text/html", ".png"),
        ("no_type:kind=webm", ".webm"),
        ("other_kind:kind=glb:content_type=application/octet-stream", ".glb"),
        ("other_kind:kind=mp3:content_type=text/plain", ".mp3"),
        ("gzipped", ".png"),
        ("gzipped:kind=mp3", ".mp3"),
        ("gzipped:kind=glb", ".glb"),
        ("unsized", ".png"),
    ],
)
async def test_head_of_the_response_does_not_spoil_a_file(
    fault: str, ending: str, tmp_path: Path
) -> None:
    async with simulated_service(fault) as simulator:
        await run_job(tmp_path, simulator, some_items(1))

        assert files_in(tmp_path) == [f"card-0{ending}"]
        assert check_invariants(tmp_path, simulator) == []


async def test_url_names_the_type_that_the_bytes_do_not(tmp_path: Path) -> None:
    faults = ("url_ending:value=csv", "other_kind:kind=txt:content_type=application/octet-stream")
    async with simulated_service(*faults) as simulator:
        await run_job(tmp_path, simulator, some_items(1), accepting("text"))

        assert files_in(tmp_path) == ["card-0.csv"]


async def test_announced_size_over_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    async with simulated_service("enormous:megabytes=300") as simulator:
        await run_job(tmp_path, simulator, some_items(2))

        for row in rows(tmp_path):
            assert (row.status, row.reason) == (ItemStatus.DOWNLOAD_PENDING, "too-large")
            assert row.message == (
                "the file has 300,000,000 bytes, larger than 200,000,000 bytes "
                "(downloads.max_bytes)"
            )
        assert downloads_of(simulator) == 2


async def test_higher_limit_gets_the_files_that_were_too_large(tmp_path: Path) -> None:
    async with simulated_service("unsized:every=2") as simulator:  # with and without a length
        await run_job(tmp_path, simulator, some_items(2), accepting(max_bytes=1000))
        assert {row.reason for row in rows(tmp_path)} == {"too-large"}
        assert downloads_of(simulator) == 2

        await run_job(tmp_path, simulator, some_items(2))
        assert statuses(tmp_path) == {ItemStatus.DONE: 2}
        assert len(simulator.ledger.submissions) == 2


async def test_file_on_the_link_of_the_host_is_refused_at_once(tmp_path: Path) -> None:
    async with simulated_service("private_url:host=169.254.169.254") as simulator:
        await run_job(tmp_path, simulator, some_items(1))

        [row] = rows(tmp_path)
        assert (row.status, row.reason) == (ItemStatus.DOWNLOAD_PENDING, "private-address")
        assert "from which nothing is downloaded" in (row.message or "")
