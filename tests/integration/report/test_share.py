"""The shared page: images and a title, nothing else of the job."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from batch_runner.errors import UsageError
from batch_runner.report.share import write_shared_page
from tests.harness.stored_job import StoredJob, an_item

SECRET = "a confidential horse"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[StoredJob]:
    job = StoredJob(tmp_path / "private-folder")
    yield job
    job.journal.close()


def labelled_png() -> bytes:
    """Return an image with its prompt in the metadata, as generators write it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", SECRET)
    info.add_itxt("XML:com.adobe.xmp", SECRET)
    exif = Image.Exif()
    exif[0x010E] = SECRET
    out = io.BytesIO()
    Image.new("RGB", (1000, 500), (40, 90, 160)).save(
        out, "PNG", pnginfo=info, exif=exif, icc_profile=SECRET.encode()
    )
    return out.getvalue()


def pictures_in(page: bytes) -> list[bytes]:
    found = re.findall(rb"data:image/webp;base64,([^\"]+)", page)
    return [base64.b64decode(one) for one in found]


def test_shared_page_has_nothing_of_the_job_but_title_and_images(
    job: StoredJob, tmp_path: Path
) -> None:
    items = [
        replace(
            an_item(n, SECRET, scene="a-secret-scene"), id=f"secret-{n}", workflow="secret_workflow"
        )
        for n in range(3)
    ]
    job.list(*items)
    job.done(items[0], labelled_png())
    job.done(items[1], labelled_png())
    job.held(items[2])
    job.run()
    target = tmp_path / "page.html"

    shared = write_shared_page(job.folder, target)

    page = target.read_bytes()
    assert (shared.images, shared.left_out, shared.size) == (2, 0, len(page))
    everything = page + b"".join(pictures_in(page))
    private = [
        *(SECRET, "secret", "scene", "task-0", "task-1", "card-0", "card-1", "horse cards.yaml"),
        *("private-folder", str(tmp_path), "baicai", "service.example", "0.12", "no-response"),
        *(item.key for item in items),
        *(item.key * 2 for item in items),
    ]
    assert [text for text in private if text.encode() in everything] == []
    assert b"horse-cards" in page
    assert [Image.open(io.BytesIO(one)).size for one in pictures_in(page)] == [(720, 360)] * 2


def test_title_replaces_the_name_of_the_job(job: StoredJob, tmp_path: Path) -> None:
    job.list(an_item(0))
    job.done(an_item(0))

    write_shared_page(job.folder, tmp_path / "page.html", title="Our <b> %%tiles%%")

    page = (tmp_path / "page.html").read_bytes()
    assert b"<title>Our &lt;b&gt; %%tiles%%</title>" in page
    assert b"horse-cards" not in page
    assert page.count(b'class="tile done"') == 1


def test_number_is_the_row_of_the_item(job: StoredJob, tmp_path: Path) -> None:
    """The position in the manifest changes with the manifest."""
    items = [an_item(n) for n in range(3)]
    job.list(items[2])
    job.list(replace(items[0], position=0), replace(items[1], position=1), items[2])
    for item in items[1:]:
        job.done(item)

    write_shared_page(job.folder, tmp_path / "page.html")

    numbers = re.findall(rb'class="name">(#\d+)<', (tmp_path / "page.html").read_bytes())
    assert numbers == [b"#3", b"#1"]


def test_files_that_are_no_images_are_counted(job: StoredJob, tmp_path: Path) -> None:
    items = [an_item(n) for n in range(3)]
    job.list(*items)
    job.done(items[0])
    job.done(items[1], b"damaged")
    job.done(items[2]).unlink()

    shared = write_shared_page(job.folder, tmp_path / "page.html")

    assert (shared.images, shared.left_out) == (1, 2)


def test_only_a_shared_page_is_overwritten(job: StoredJob, tmp_path: Path) -> None:
    job.list(an_item(0))
    job.done(an_item(0))
    report, target, theirs = job.report(), tmp_path / "page.html", tmp_path / "theirs.html"
    theirs.write_text("mine")
    before = report.read_bytes()
    write_shared_page(job.folder, target)

    write_shared_page(job.folder, target, title="again")
    for path in (report, theirs):
        with pytest.raises(UsageError, match="not a shared page"):
            write_shared_page(job.folder, path)

    assert b"<title>again</title>" in target.read_bytes()
    assert (theirs.read_text(), report.read_bytes()) == ("mine", before)


def test_job_without_images_writes_no_page(job: StoredJob, tmp_path: Path) -> None:
    job.list(an_item(0))

    with pytest.raises(UsageError, match="no images"):
        write_shared_page(job.folder, tmp_path / "page.html")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["private-folder"]
