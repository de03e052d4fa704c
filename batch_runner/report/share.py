"""Writes the shared page: the images of a job in one file that can be sent to somebody.

It has the title and numbered images, and nothing else of the job: no prompts, params, variables or
names. The images are scaled down and encoded anew, because generators write prompts into the
metadata of theirs. The numbers are those of the items in the journal; `export --picks` knows them.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.jobdir.paths import JobFolder
from batch_runner.jobdir.results import Results, results_of
from batch_runner.journal import JournalReader, open_reader
from batch_runner.lifecycle import ItemStatus
from batch_runner.models import PlacedFile
from batch_runner.report.page import assemble
from batch_runner.report.thumbnails import THREADS, small_image
from batch_runner.report.words import page_words
from batch_runner.report.write import JOURNAL, has_generator
from batch_runner.util.fs import replace_file
from batch_runner.util.locale import tr
from batch_runner.util.paths import Utf8Path

#: Longest side of a shared image, in pixels.
SHARED_SIDE = 720
#: Images encoded before they are written.
_CHUNK = 64
_SCRIPTS = ("words.js", "dom.js", "share.js")
_WORDS = (
    *("shared_count", "shared_one", "shared_hint", "shared_keys", "image", "marked", "copy_list"),
    *("copied", "save_list", "chosen", "favourite", "previous", "next_item", "close", "of"),
    "otherLabel",
)
_GENERATOR = b'<meta name="generator" content="batch-runner shared page">'
_TILES = b"%%tiles%%"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPage:
    """What was written: number of images, files left out because they are no image, bytes."""

    images: int
    left_out: int
    size: int


def write_shared_page(
    folder: Path, target: Path, *, title: str | None = None, language: str | None = None
) -> SharedPage:
    """Write the images of the job in `folder` to `target`, as one page.

    `title` None is the name of the job; `language` is a tag such as "zh-CN", None lets the browser
    choose.

    Raises:
        UsageError: `target` is another file, or there are no images.
        JournalUnreadable: there is no journal in `folder`, or it cannot be read.
        OSError: the page could not be written; an older one stays complete.
    """
    if not has_generator(target, _GENERATOR):
        raise UsageError(
            tr("{path} exists and is not a shared page; choose another name", path=target)
        )
    with open_reader(Utf8Path(folder) / JOURNAL) as reader, replace_file(target) as out:
        job = reader.job()
        html = assemble(
            "share.html",
            _SCRIPTS,
            words=page_words(_WORDS),
            sources="img-src data:; script-src",
            language=language or "",
            title=title or job.name,
            page=sha256(job.id.encode()).hexdigest()[:16],
            tiles=_TILES.decode(),
        )
        before, after = html.encode("utf-8", "replace").rsplit(_TILES, 1)
        out.write(before)
        images = left_out = 0
        for number, image in _images(Utf8Path(folder), reader):
            left_out += image is None
            if image is not None:
                images += 1
                out.write(_tile(number, image))
        if not images:
            raise UsageError(tr("the job has no images to share yet"))
        out.write(after)
        size = out.tell()
    return SharedPage(images=images, left_out=left_out, size=size)


def _images(folder: Path, reader: JournalReader) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number of each item that is done and each of its images; None: not an image."""
    results = results_of(JobFolder(folder))
    files = ((item.row, file) for item in reader.items(ItemStatus.DONE) for file in item.files)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="share") as pool:
        while chunk := list(islice(files, _CHUNK)):
            found = pool.map(partial(_encoded, results), [file for _, file in chunk])
            yield from zip((number for number, _ in chunk), found, strict=True)


def _encoded(results: Results, file: PlacedFile) -> bytes | None:
    """Return the image scaled down, without metadata; None if it cannot be decoded."""
    out = io.BytesIO()
    try:
        with results.local(file) as path:
            small = small_image(path, SHARED_SIDE)
        if small is None:
            return None
        small.save(out, "WEBP", quality=80, method=4, exif=b"", xmp=b"", icc_profile=b"")
    except Exception:  # noqa: BLE001  decoders raise nearly anything for damaged bytes
        return None
    return out.getvalue()


def _tile(number: int, image: bytes) -> bytes:
    source = b"data:image/webp;base64," + base64.b64encode(image)
    return (
        b'<button type="button" class="tile done"><img alt="" src="%b">'
        b'<span class="name">#%d</span></button>\n' % (source, number)
    )
