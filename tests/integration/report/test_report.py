"""The report of a real journal with real images."""

from __future__ import annotations

import io
import json
import os
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batch_runner.errors import JournalUnreadable
from batch_runner.journal import Journal
from batch_runner.lifecycle import Event
from batch_runner.models import ItemSpec, PlacedFile
from batch_runner.report import write, write_report
from tests.harness import run_job, simulated_service, some_items, some_settings
from tests.harness.stored_job import FIGURES, HOSTILE, START, StoredJob, an_item, png_bytes


@pytest.fixture
def job(tmp_path: Path) -> Any:
    job = StoredJob(tmp_path / "out")
    yield job
    job.journal.close()


def data_of(folder: Path, name: str) -> Any:
    """Read a data script: the value between the assignment and the semicolon."""
    (path,) = (folder / ".batch/report").glob(f"{name}-*.js")
    return json.loads(path.read_text("utf-8").partition("]=")[2].removesuffix(";\n"))


def test_head_has_counts_problems_and_commands(job: StoredJob) -> None:
    items = [an_item(n) for n in range(4)]
    job.list(*items)
    job.done(items[0])
    job.failed(items[1])
    job.held(items[2])
    job.download_pending(items[3])

    page = job.report()

    assert page == job.folder / "index.html"
    assert "1 of 4 items held" in page.read_text("utf-8")
    head = data_of(job.folder, "head")
    assert head["counts"] == {"done": 1, "failed": 1, "held": 1, "download_pending": 1}
    assert [(group["status"], group["owner"]) for group in head["problems"]] == [
        ("held", "you"),
        ("failed", "you"),
        ("download_pending", "network"),
    ]
    assert head["problems"][1]["command"].endswith(
        f"batch-runner retry 'jobs/horse cards.yaml' --output {job.folder} --reason moderation"
    )
    assert [name for name, _ in head["commands"]] == ["resolve", "retry", "run"]


@pytest.mark.parametrize("output", ["elsewhere", "it's $HOME"], ids=["own", "overridden"])
def test_commands_run_in_any_shell_and_folder(tmp_path: Path, output: str) -> None:
    manifest = tmp_path / "horse cards.yaml"
    manifest.write_text(
        'job: horse-cards\nworkflow: w\nparams: {"6": {text: "{{ prompt }}"}}\nprompts: [a horse]\n'
        "output: {folder: elsewhere}\n"
    )
    job = StoredJob(tmp_path / output)
    items = [an_item(0), an_item(1)]
    job.journal.import_items(items, manifest=str(manifest))
    job.held(items[0])
    job.failed(items[1], "odd 'reason'")
    job.report()
    job.journal.close()
    groups = data_of(job.folder, "head")["problems"]

    results = [
        subprocess.run(
            ["sh", "-c", group["command"]],
            cwd="/",
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=250,
        )
        for group in groups
    ]

    assert [group["status"] for group in groups] == ["held", "failed"]
    assert [("--output" in group["command"]) for group in groups] == [output != "elsewhere"] * 2
    assert "item-0" in results[0].stdout, results[0].stderr
    assert (results[1].returncode, results[1].stderr) == (0, "")
    assert results[1].stdout.startswith("1 item")


def test_item_has_thumbnail_variables_and_events(job: StoredJob) -> None:
    item = an_item(0, "a horse in snow", scene="snow", style="ink")
    job.list(item)
    job.done(item)

    job.report()

    (shown,) = data_of(job.folder, "items-0")
    name, thumbnail, state, kind, size = shown["files"][0]
    assert (name, state, kind) == ("card-0.png", "shown", "image")
    assert size == (job.folder / name).stat().st_size
    with Image.open(job.folder / ".batch/report/thumbnails" / thumbnail) as image:
        assert image.size == (352, 235)
    assert shown["values"] == ["snow", "ink"]
    (details,) = data_of(job.folder, "details-0")
    assert [event[1] for event in details["events"]] == [
        "listed", "submit_started", "submit_confirmed", "task_completed", "placed",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_stays_data(job: StoredJob, kind: str) -> None:
    text = HOSTILE[kind]
    item = an_item(0, text.encode("utf-8", "replace").decode(), **{"__proto__": "<b>"})
    item = ItemSpec(**{name: getattr(item, name) for name in item.__dataclass_fields__} | {
        "params": {"text": text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")},
    })  # fmt: skip
    job.list(item)

    page = job.report()

    scripts = [path.read_text("utf-8") for path in page.parent.glob(".batch/report/*.js")]
    assert all(sign not in script for script in scripts for sign in "<>&\u2028\u2029")
    assert data_of(job.folder, "items-0")[0]["prompt"] == item.prompt
    assert "stolen" not in page.read_text("utf-8")


def test_job_name_is_escaped(job: StoredJob) -> None:
    job.journal.close()
    job.folder = job.folder.with_name("hostile")
    (job.folder / ".batch").mkdir(parents=True)
    job.journal = Journal.create(
        job.folder / ".batch/journal.sqlite", job="<script>%%data%%", provider="p", origin="o"
    )

    page = job.report()

    assert "<bdi>&lt;script&gt;%%data%%</bdi>" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("content", "state"),
    [
        pytest.param(b"", "damaged", id="empty"),
        pytest.param(b"not an image", "damaged", id="text"),
        pytest.param(png_bytes()[:-20], "damaged", id="without-its-end"),
        pytest.param(png_bytes()[:300], "damaged", id="half"),
        pytest.param(None, "missing", id="deleted"),
    ],
)
def test_missing_or_damaged_image_has_no_thumbnail(
    job: StoredJob, content: bytes | None, state: str
) -> None:
    item = an_item(0)
    job.list(item)
    path = job.done(item, content)
    if content is None:
        path.unlink()

    job.report()

    assert data_of(job.folder, "items-0")[0]["files"][0][:3] == ["card-0.png", None, state]


def _jpeg_bytes() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(png_bytes() + b'AIGC{"Label":"1"}', id="label-after-its-end"),
        pytest.param(png_bytes(exif=b'{"Label":"1"}'), id="label-in-place-of-exif"),
        pytest.param(
            b"\xff\xd8\xff\xe2\x00\x2eMPF\0" + bytes(40) + _jpeg_bytes()[2:], id="empty-mpf-index"
        ),
    ],
)
def test_labelled_image_gets_a_thumbnail(job: StoredJob, content: bytes) -> None:
    item = an_item(0)
    job.list(item)
    job.done(item, content)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        job.report()

    assert data_of(job.folder, "items-0")[0]["files"][0][2] == "shown"
    assert shown == []


def test_image_with_too_many_pixels_is_not_decoded(job: StoredJob) -> None:
    item = an_item(0)
    job.list(item)
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    job.done(item, out.getvalue())

    job.report()

    assert data_of(job.folder, "items-0")[0]["files"][0][:3] == ["card-0.png", None, "large"]


def tiff_bytes() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "TIFF")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "media_type", "content", "shown"),
    [
        ("card.webm", "video/webm", b"frames", ["other", "video", 6]),
        ("card.flac", "audio/flac", b"sound", ["other", "audio", 5]),
        ("card.glb", "model/gltf-binary", b"mesh", ["other", "model", 4]),
        ("card.bin", "application/octet-stream", b"data", ["other", "other", 4]),
        ("card.svg", "image/svg+xml", b"<svg></svg>", ["other", "svg", 11]),
        ("card.html", "text/html", b"<p>", ["other", "text", 3]),
        ("card.exr", "image/x-exr", b"pixels", ["other", "image", 6]),
        ("card.tif", "image/tiff", tiff_bytes(), ["shown", "image", len(tiff_bytes())]),
        ("gone.mp3", "audio/mpeg", None, ["missing", "audio", 0]),
    ],
)
def test_file_of_any_kind_has_a_state(
    name: str, media_type: str, content: bytes | None, shown: list[object], job: StoredJob
) -> None:
    job.list(an_item(0))
    if content is not None:
        (job.folder / name).write_bytes(content)
    file = PlacedFile(name=name, size=len(content or b""), sha256="c" * 64, media_type=media_type)
    job.submitted(an_item(0))
    job.record(an_item(0), Event.TASK_COMPLETED)
    job.record(an_item(0), Event.PLACED, files=(file,))

    job.report()

    assert data_of(job.folder, "items-0")[0]["files"][0][2:] == shown


def test_only_newer_images_get_new_thumbnails(job: StoredJob) -> None:
    items = [an_item(0), an_item(1)]
    job.list(*items)
    paths = [job.done(item) for item in items]
    for path in paths:
        os.utime(path, (START, START))
    job.report()
    thumbnails = [
        job.folder / ".batch/report/thumbnails" / one["files"][0][1]
        for one in data_of(job.folder, "items-0")
    ]
    for thumbnail in thumbnails:
        os.utime(thumbnail, (START + 10, START + 10))
    os.utime(paths[1], (START + 20, START + 20))

    job.report()

    assert thumbnails[0].stat().st_mtime == START + 10
    assert thumbnails[1].stat().st_mtime > START + 20


def test_next_report_makes_thumbnails_left_out_for_time(job: StoredJob) -> None:
    items = [an_item(0), an_item(1)]
    job.list(*items)
    job.done(items[0])
    job.report()
    job.done(items[1], png_bytes(size=(40, 30)))

    job.report(seconds=0)
    first = [one["files"][0][2] for one in data_of(job.folder, "items-0")]
    job.report()

    assert first == ["shown", "later"]
    assert [one["files"][0][2] for one in data_of(job.folder, "items-0")] == ["shown", "shown"]


def test_unwritable_thumbnail_does_not_mean_damaged_image(job: StoredJob) -> None:
    """The disk may be full: the images are complete, and are shown themselves."""
    items = [an_item(0), an_item(1)]
    job.list(*items)
    job.done(items[0])
    job.done(items[1], b"damaged")
    (job.folder / ".batch/report").mkdir()
    (job.folder / ".batch/report/thumbnails").symlink_to("/proc")  # takes no files

    job.report()

    assert [one["files"][0][2] for one in data_of(job.folder, "items-0")] == ["later", "damaged"]


def test_empty_data_file_is_written_again(job: StoredJob) -> None:
    job.list(an_item(0))
    job.report()
    (path,) = (job.folder / ".batch/report").glob("items-0-*.js")
    path.write_text("")

    job.report()

    assert data_of(job.folder, "items-0")[0]["id"] == "item-0"


def test_images_and_journal_are_not_changed(job: StoredJob) -> None:
    items = [an_item(0), an_item(1)]
    job.list(*items)
    picture = job.done(items[0])
    job.done(items[1], b"damaged")
    journal = job.folder / ".batch/journal.sqlite"
    before = [(one.read_bytes(), one.stat().st_mtime_ns) for one in (picture, journal)]

    job.report()

    assert [(one.read_bytes(), one.stat().st_mtime_ns) for one in (picture, journal)] == before


def test_new_report_replaces_old_data(job: StoredJob) -> None:
    item = an_item(0)
    job.list(item)
    job.report()
    job.done(item)

    job.report()

    assert data_of(job.folder, "head")["counts"] == {"done": 1}
    assert list(job.folder.rglob("*.tmp")) == []


def test_foreign_index_html_is_not_overwritten(job: StoredJob) -> None:
    job.list(an_item(0))
    theirs = job.folder / "index.html"
    theirs.write_text("<html>my own gallery</html>")

    page = job.report()

    assert theirs.read_text() == "<html>my own gallery</html>"
    assert page == job.report() == job.folder / "batch-report.html"
    page.write_text("and this is mine, too")
    assert job.report() == job.folder / "batch-report2.html"
    assert page.read_text() == "and this is mine, too"
    theirs.unlink()
    assert job.report() == theirs


def test_old_data_stays_if_the_page_cannot_be_written(job: StoredJob) -> None:
    job.list(an_item(0))
    page = job.report()
    scripts = set(job.folder.glob(".batch/report/*.js"))
    page.unlink()
    page.mkdir()  # nothing can be renamed over a folder
    job.done(an_item(0))

    with pytest.raises(OSError, match=r"index\.html"):
        job.report()

    assert scripts <= set(job.folder.glob(".batch/report/*.js"))
    assert list(job.folder.rglob("*.tmp")) == []


def test_changes_since_the_previous_run(job: StoredJob) -> None:
    items = [an_item(0), an_item(1), an_item(2)]
    job.list(*items)
    job.done(items[0])
    job.failed(items[1])
    job.run()
    job.record(items[1], Event.RETRIED)
    job.done(items[1])
    job.failed(items[2], "http-500")
    job.run()

    job.report()

    assert data_of(job.folder, "head")["changes"] == [
        ["failed", "done", 1],
        ["pending", "failed", 1],
    ]


def test_run_without_requests_leaves_the_report_as_it_was(job: StoredJob) -> None:
    items = [an_item(0), an_item(1)]
    job.list(*items)
    job.done(items[0])
    job.run()
    job.failed(items[1])
    job.run()
    job.report()
    before = data_of(job.folder, "head")

    number = job.journal.begin_run(pid=1, host="here")
    job.at += 60
    nothing = dict.fromkeys(FIGURES, 0) | {"samples": [[60, 0, 0, 0, 0]]}
    job.journal.end_run(number, nothing, exit_code=1, message="")
    job.report()

    after = data_of(job.folder, "head")
    assert after | {"written": 0} == before | {"written": 0}
    assert after["changes"] == [["pending", "failed", 1]]


def test_variable_of_later_items_only(job: StoredJob) -> None:
    """Items are not kept: the first ones were written before the variable was known."""
    job.list(an_item(0, scene="snow"), an_item(1, scene="snow", year="2026"), an_item(2))

    job.report()

    assert [one["values"] for one in data_of(job.folder, "items-0")] == [
        ["snow"],
        ["snow", "2026"],
        [None, None],
    ]
    assert data_of(job.folder, "head")["variables"] == [
        {"name": "scene", "values": ["snow"]},
        {"name": "year", "values": ["2026"]},
    ]


def test_variable_with_many_values_is_no_axis(job: StoredJob) -> None:
    job.list(*(an_item(n, name=f"Person {n}", city=f"City {n % 200}") for n in range(201)))

    job.report()

    name, city = data_of(job.folder, "head")["variables"]
    assert (name["values"], len(city["values"])) == (None, 200)


def test_many_items_are_split_into_shards(job: StoredJob) -> None:
    job.list(*(an_item(n) for n in range(2001)))

    job.report()

    assert len(data_of(job.folder, "items-0")) == 2000
    assert len(data_of(job.folder, "items-1")) == 1
    assert len(data_of(job.folder, "details-4")) == 1
    assert data_of(job.folder, "head")["total"] == 2001


def test_huge_job_shows_what_is_not_done_and_the_first_others(
    job: StoredJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MAX_ITEMS", 3)
    items = [an_item(n) for n in range(7)]
    job.list(*items)
    for item in items[:4]:
        job.done(item)
    job.failed(items[4])
    job.failed(items[5])
    job.list(*items[:6])  # the last one is removed before it was submitted

    page = job.report()

    assert [item["id"] for item in data_of(job.folder, "items-0")] == ["item-0", "item-4", "item-5"]
    head = data_of(job.folder, "head")
    assert (head["total"], head["shown"]) == (6, 3)
    assert head["counts"] == {"done": 4, "failed": 2}
    assert "2 of 6 items failed" in page.read_text("utf-8")


def test_problems_of_a_huge_job_are_counted_in_full(
    job: StoredJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "MAX_ITEMS", 2)
    items = [an_item(n) for n in range(5)]
    job.list(*items)
    for item in items[:4]:
        job.failed(item)
    job.held(items[4])

    job.report()

    problems = data_of(job.folder, "head")["problems"]
    assert [(one["status"], one["count"], len(one["members"])) for one in problems] == [
        ("held", 1, 0),
        ("failed", 4, 2),
    ]


def test_equal_images_share_a_thumbnail(job: StoredJob) -> None:
    """Also across batches: items are processed 500 at a time."""
    items = [an_item(n) for n in range(501)]
    job.list(*items)
    for item in (items[0], items[500]):
        path = job.folder / f"{item.name}.png"
        path.write_bytes(png_bytes())
        file = PlacedFile(
            name=path.name, size=len(png_bytes()), sha256="ab" * 32, media_type="image/png"
        )
        job.submitted(item)
        job.record(item, Event.TASK_COMPLETED)
        job.record(item, Event.PLACED, files=(file,))

    job.report()

    shown = data_of(job.folder, "items-0")
    first, last = shown[0]["files"], shown[500]["files"]
    assert (first[0][1:], last[0][0]) == (last[0][1:], "card-500.png")
    assert first[0][2] == "shown"
    assert len(list(job.folder.glob(".batch/report/thumbnails/*"))) == 1


def test_page_loads_nothing_from_the_network(job: StoredJob) -> None:
    job.list(an_item(0))

    text = job.report().read_text("utf-8")

    assert "default-src &#x27;none&#x27;" in text
    assert "https://" not in text
    assert text.count("http://") == text.count("http://www.w3.org/2000/svg")


def test_requested_language_is_written_into_the_page(job: StoredJob) -> None:
    job.list(an_item(0))

    text = job.report(language="zh-CN").read_text("utf-8")

    assert 'data-language="zh-CN"' in text
    assert "1 项中有 1 项未完成" in text


def test_folder_without_journal_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(JournalUnreadable):
        write_report(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_report_of_run_with_failures_held_items_and_deadline(tmp_path: Path) -> None:
    """From the simulator to the page: owners of problems, and their commands."""
    root, count = tmp_path / "out", 40
    faults = ("fail:submit:times=4", "lose_answer:submit:times=2:after=8")
    settings = some_settings(rate="1/s", in_flight=10)

    async with simulated_service(*faults, service_time="uniform:5,10") as simulator:
        summary = await run_job(root, simulator, some_items(count), settings, deadline=25)
    write_report(root)

    stood = {status.value: count for status, count in summary.counts.items() if count}
    assert (stood["failed"], stood["held"]) == (4, 2)
    left = count - 6 - stood["done"]
    assert left > 0 < stood["done"]
    head = data_of(root, "head")
    assert head["summary"]["en"].startswith(
        f"2 of {count} items held (may have been paid, waiting for your decision); "
        f"{stood['done']} done, 4 failed, {left} not finished; stopped early: "
    )
    assert "deadline" in head["summary"]["en"]
    assert f"; {summary.spent} submissions, " in head["summary"]["en"]
    assert f"{count} 项中有 2 项待定" in head["summary"]["zh"]
    assert "截止时间已到" in head["summary"]["zh"]
    groups = {group["status"]: group for group in head["problems"]}
    assert list(groups) == ["held", "failed"]
    assert [(one["owner"], one["count"]) for one in groups.values()] == [("you", 2), ("service", 4)]
    assert " resolve MANIFEST.yaml" in groups["held"]["command"]
    assert groups["failed"]["command"].endswith(f"--reason {groups['failed']['reason']}")
    assert [name for name, _ in head["commands"]] == ["resolve", "retry", "run"]
