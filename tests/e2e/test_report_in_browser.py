"""The report in chromium: from `file://`, by keyboard, without network requests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page

from batch_runner.lifecycle import Event
from batch_runner.manifest import load
from batch_runner.models import PlacedFile
from batch_runner.report.share import write_shared_page
from batch_runner.units import Price, Prices
from tests.harness.commands import PATIENCE
from tests.harness.stored_job import HOSTILE, StoredJob, an_item

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium: apt install chromium"),
]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE * 1000
        )
        yield browser
        browser.close()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[StoredJob]:
    job = StoredJob(tmp_path / "out")
    yield job
    job.journal.close()


class Reader:
    """Opens pages in browser contexts of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @contextmanager
    def reading(self, path: Path, **options: Any) -> Iterator[Page]:
        """Open a page; at the end assert that it logged no error and requested nothing else."""
        messages: list[str] = []
        requested: list[str] = []
        with self._browser.new_context(**{"locale": "en-US", **options}) as context:
            page = context.new_page()
            page.set_default_timeout(PATIENCE * 1000)
            # Script errors, missing images, requests blocked by the policy.
            page.on("console", lambda message: messages.append(message.text))
            page.on("pageerror", lambda error: messages.append(str(error)))
            page.on("request", lambda request: requested.append(request.url))
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]")
            yield page
        assert messages == []
        root = path.parent.as_uri()
        assert [url for url in requested if not url.startswith((root, "data:", "blob:"))] == []


@pytest.fixture
def reader(browser: Browser) -> Reader:
    return Reader(browser)


def tiles(page: Page) -> list[str]:
    """Return the ids of the items on the contact sheet."""
    return titles(page.locator(".tile"))


def titles(found: Locator) -> list[str]:
    """Return the tooltips of elements."""
    return found.evaluate_all("all => all.map((one) => one.title)")  # type: ignore[no-any-return]


def picker(page: Page, label: str) -> Locator:
    """Return the filter of this name."""
    named = page.locator(f"span:text-is('{label}')")
    return page.locator("#filters label", has=named).locator("select")


def press_on_tile(page: Page, number: int, *keys: str) -> None:
    """Focus a tile and press keys."""
    page.locator(".tile").nth(number).focus()
    for key in keys:
        page.keyboard.press(key)


def download(page: Page, button: str) -> str:
    """Press a button and return the text of the file it downloads."""
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).click()
    return Path(waiting.value.path()).read_text("utf-8")


def more_like(job: StoredJob, reader: Reader, count: int) -> Path:
    """Star the first items, and return the exported manifest."""
    path = job.folder.parent / "more-like-these.yaml"
    with reader.reading(job.report(), accept_downloads=True) as page:
        for number in range(count):
            press_on_tile(page, number, "f")
        path.write_text(download(page, "more like these"), "utf-8")
    return path


def mixed_job(job: StoredJob) -> Path:
    items = [
        an_item(n, f"card number {n}", scene=f"scene-{n // 2}", style=f"style-{n % 2}")
        for n in range(8)
    ]
    job.list(*items)
    for item in items[:4]:
        job.done(item)
    job.failed(items[4])
    job.held(items[5])
    job.download_pending(items[6])
    job.record(items[7], Event.SUBMIT_STARTED)
    job.record(items[7], Event.SUBMIT_REJECTED, reason="http-400", message="No.")
    job.run()
    return job.report()


def test_page_shows_summary_problems_and_tiles(job: StoredJob, reader: Reader) -> None:
    with reader.reading(mixed_job(job)) as page:
        assert page.locator("h1").inner_text().startswith("1 of 8 items held")
        assert page.locator(".group").count() == 4
        classes = page.locator(".tile").evaluate_all("all => all.map((one) => one.className)")
        assert classes[:4] == ["tile done"] * 4
        assert [one.removeprefix("tile ") for one in classes[4:]] == [
            *("failed", "held", "download_pending", "rejected"),
        ]
        picture = page.locator(".tile img").first
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 352
        assert page.locator(".chart").count() == 3
        took = page.locator(".chart", has_text="Time at the service")
        assert "Half took less than 7.0 s" in took.inner_text()
        # Held and rejected items were not accepted and have no time at the service.
        assert sum(map(int, took.locator("title").all_text_contents())) == 6


def test_image_is_shown_until_it_has_a_thumbnail(job: StoredJob, reader: Reader) -> None:
    job.list(an_item(0))
    job.done(an_item(0))

    with reader.reading(job.report(seconds=0)) as page:
        picture = page.locator(".tile img").first
        assert picture.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 600


@pytest.mark.parametrize("origin", ["https://service.example", "rehearsal"])
def test_rehearsal_is_marked_as_such(tmp_path: Path, reader: Reader, origin: str) -> None:
    job = StoredJob(tmp_path / "out", origin=origin)
    job.list(an_item(0))
    job.done(an_item(0))
    page_path = job.report()
    job.journal.close()

    with reader.reading(page_path) as page:
        banner = page.get_by_text("Rehearsal: simulated images, nothing was paid")
        assert banner.is_visible() is (origin == "rehearsal")


def test_command_is_copied_verbatim(job: StoredJob, reader: Reader) -> None:
    path = mixed_job(job)
    with reader.reading(path, permissions=["clipboard-read", "clipboard-write"]) as page:
        first = page.locator(".command").first
        first.get_by_role("button").click()
        first.get_by_text("Copied", exact=True).wait_for()

        copied = page.evaluate("navigator.clipboard.readText()")

        assert copied == first.locator("code").text_content()
        target = f"'jobs/horse cards.yaml' --output {path.parent}"
        assert copied.endswith(f"batch-runner resolve {target}")


def test_hostile_texts_are_shown_as_text(job: StoredJob, reader: Reader) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE.values()]
    items = [an_item(n, text, **{"__proto__": text[:40]}) for n, text in enumerate(texts)]
    job.list(*items)
    for item in items:
        job.failed(item, reason=item.prompt[:60])

    with reader.reading(job.report()) as page:
        page.locator(".tile").first.click()
        shown = []
        for _ in texts:
            shown.append(page.locator("#viewer .prompt").text_content())
            page.keyboard.press("ArrowRight")

        assert sorted(shown, key=str) == sorted(texts)
        assert page.title() == "horse-cards"
        assert page.locator("img[src=x], main script").count() == 0


def test_favourites_and_notes_survive_reload_and_export(job: StoredJob, reader: Reader) -> None:
    with reader.reading(mixed_job(job), accept_downloads=True) as page:
        press_on_tile(page, 1, "f")
        press_on_tile(page, 2, "f", "Enter")
        page.locator("#note").press_sequentially("the one")
        assert page.evaluate("document.activeElement.id") == "note"

        page.reload()
        page.wait_for_selector("html[data-ready]")

        assert page.locator("#note").input_value() == "the one"  # the URL names the open item
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        assert titles(page.locator(".tile.favourite")) == ["item-1", "item-2"]
        assert download(page, "List of files") == "card-1.png\ncard-2.png\n"
        picks = json.loads(download(page, "JSON with notes"))["picks"]
        noted = [(pick["id"], pick["favourite"], pick["note"]) for pick in picks]
        assert noted == [("item-1", True, ""), ("item-2", True, "the one")]
        picker(page, "Only").select_option("favourites")
        assert tiles(page) == ["item-1", "item-2"]


def test_more_like_these_sends_the_same_requests(job: StoredJob, reader: Reader) -> None:
    items = [
        an_item(0, "a {{ horse }}: 'red'\n# no comment"),
        an_item(1, "新年快乐 🐎"),
        replace(an_item(2, "a foal"), params={"6": {"text": "a foal, at dawn"}, "7": {"cfg": 2.5}}),
    ]
    job.list(*items)
    for item in items:
        job.done(item)

    path = more_like(job, reader, len(items))

    specs = list(load(path).items())
    assert [(spec.prompt, spec.params) for spec in specs[::4]] == [
        (item.prompt, item.params) for item in items
    ]
    assert len(specs) == 4 * len(items)


def test_more_like_these_keeps_numbers_exactly(job: StoredJob, reader: Reader) -> None:
    """JavaScript rounds numbers over 2^53, and writes 1.0 as 1: other requests, with other keys."""
    params = (
        '{"3": {seed: 18446744073709551615, cfg: 7.0, low: -9007199254740993, big: 1.0e+22, '
        'small: 1.5e-07, list: [2.50, 3], text: "12345678901234567890 {{ prompt }}"}}'
    )
    path = job.folder.parent / "manifest.yaml"
    path.write_text(f'workflow: w\nparams: {params}\nprompts: ["a 9007199254740993 horse"]\n')
    (item,) = load(path).items()
    job.list(item)
    job.done(item)

    (again, *_) = load(more_like(job, reader, 1)).items()

    assert (again.key, again.params) == (item.key, item.params)
    assert isinstance(again.params["3"]["cfg"], float)


def test_more_like_repetitions_are_new_ones(job: StoredJob, reader: Reader) -> None:
    """Values derived from the repetition number are new, so that nothing is paid again."""
    items = [
        replace(
            an_item(number, "a horse", n=str(number + 1)),
            params={"6": {"text": "a horse", "try": number + 1}, "3": {"seed": seed, "steps": 20}},
        )
        for number, seed in enumerate((271828, 314159))
    ]
    job.list(*items)
    for item in items:
        job.done(item)

    path = more_like(job, reader, len(items))

    specs = list(load(path).items())
    assert [spec.params["6"] for spec in specs] == [
        {"text": "a horse", "try": number} for number in (3, 4, 5, 6)
    ]
    assert {spec.params["3"]["steps"] for spec in specs} == {20}
    seeds = {spec.params["3"]["seed"] for spec in specs}
    assert len(seeds - {271828, 314159}) == 4
    assert load(path).settings.limits.price == Prices(Price(Decimal("0.12"), "CNY"))


def test_more_like_warns_of_a_fixed_seed(job: StoredJob, reader: Reader) -> None:
    item = replace(an_item(0), params={"3": {"noise_seed": 7}, "6": {"text": "a horse"}})
    job.list(item)
    job.done(item)

    text = more_like(job, reader, 1).read_text("utf-8")

    assert "# noise_seed is the same in every repetition" in text
    assert "{{ seed() }}" in text


def test_filters_search_and_language_switch(job: StoredJob, reader: Reader) -> None:
    with reader.reading(mixed_job(job)) as page:
        page.keyboard.press("/")
        page.keyboard.type("3 CARD")  # words in any order
        assert tiles(page) == ["item-3"]
        page.get_by_role("button", name="Show all").click()
        assert len(tiles(page)) == 8
        picker(page, "scene").select_option("scene-1")
        picker(page, "style").select_option("style-0")
        assert tiles(page) == ["item-2"]
        page.get_by_role("button", name="Show all").click()
        picker(page, "Status").select_option("failed")
        assert tiles(page) == ["item-4"]
        page.locator(".group").first.get_by_role("button", name="Show these").click()
        assert tiles(page) == ["item-5"]
        page.locator("#language").click()
        assert page.locator("h1").inner_text().startswith("8 项中有 1 项待定")
        assert page.locator("html").get_attribute("lang") == "zh-Hans"


def test_items_without_a_variable_have_their_own_row(job: StoredJob, reader: Reader) -> None:
    """The data of an item lacks variables that only later items have."""
    job.list(
        an_item(0, scene="snow"),
        an_item(1, scene="snow", year="2026"),
        an_item(2, scene="snow", year="2027"),
    )

    with reader.reading(job.report()) as page:
        rows = page.locator("table.matrix tbody tr")
        assert rows.locator("th").all_inner_texts() == ["2026", "2027", "–"]
        assert titles(rows.locator(".tile")) == ["item-1", "item-2", "item-0"]
        page.locator(".tile").nth(2).click()
        text = page.locator("dialog .properties").inner_text()
        assert "scene = snow" in text
        assert "year" not in text


def test_done_item_shows_the_command_for_one_more_try(job: StoredJob, reader: Reader) -> None:
    items = [an_item(number) for number in range(3)]
    items[1].id = "a 'b'"
    job.list(*items)
    job.done(items[0])
    job.done(items[1])

    with reader.reading(job.report()) as page:
        for number, name in enumerate(("item-0", items[1].key)):
            page.locator(".tile").nth(number).click()
            assert " redo " in page.locator("#viewer .command code").inner_text()
            assert page.locator("#viewer .command code").inner_text().endswith(f" {name}")
            page.keyboard.press("Escape")
        page.locator(".tile").nth(2).click()
        assert page.locator("#viewer .command").count() == 0


def test_keyboard_moves_opens_and_compares(job: StoredJob, reader: Reader) -> None:
    with reader.reading(mixed_job(job)) as page:
        press_on_tile(page, 0, "c", "ArrowRight", "c", "ArrowDown")
        assert page.evaluate("document.activeElement.title") == "item-3"
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowLeft")
        assert page.locator("#viewer-title").inner_text() == "item-2"
        page.keyboard.press("Escape")
        # The close event of a dialog comes later, in a task of its own.
        page.locator("[title=item-2]:focus").wait_for()
        page.get_by_role("button", name="Compare 2").press("Enter")
        assert page.locator("#comparison strong").all_inner_texts() == ["item-0", "item-1"]
        page.keyboard.press("Escape")
        assert not page.locator("#comparison").is_visible()


@pytest.mark.parametrize("mode", ["light", "dark", "phone", "print"])
def test_page_never_scrolls_sideways(mode: str, job: StoredJob, reader: Reader) -> None:
    options = PHONE if mode == "phone" else {"color_scheme": "dark" if mode == "dark" else "light"}
    with reader.reading(mixed_job(job), **options) as page:
        if mode == "print":
            page.emulate_media(media="print")
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) <= 0
        if mode != "print":
            page.locator(".tile").first.click()
            assert page.locator("#viewer").is_visible()
            assert page.evaluate(wider) <= 0
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(shade.removeprefix("rgb(").split(",")[0])
        assert (red < 60) is (mode == "dark")


@pytest.fixture
def axe() -> str:
    """Return the script that checks a page for barriers."""
    package = package_files(pytest.importorskip("axe_playwright_python"))
    return package.joinpath("axe.min.js").read_text("utf-8")


def violations(page: Page, axe: str) -> Any:
    page.evaluate(axe)
    return page.evaluate(
        "axe.run().then((found) => found.violations"
        ".map((one) => [one.id, one.nodes.map((n) => n.html)]))"
    )


@pytest.mark.parametrize("mode", ["light", "dark", "phone"])
def test_axe_reports_no_violations(mode: str, job: StoredJob, reader: Reader, axe: str) -> None:
    options = PHONE if mode == "phone" else {"color_scheme": mode}
    with reader.reading(mixed_job(job), **options) as page:
        assert violations(page, axe) == []
        if mode == "phone":
            page.locator("#filter-title").click()
        press_on_tile(page, 0, "c", "f")
        assert violations(page, axe) == []
        press_on_tile(page, 4, "c", "Enter")
        assert violations(page, axe) == []
        page.locator("#viewer").get_by_role("button", name="Compare 2").click()
        assert violations(page, axe) == []


@pytest.mark.parametrize("options", [PHONE, {"color_scheme": "dark"}], ids=["phone", "dark"])
def test_shared_page_marks_images(
    job: StoredJob, reader: Reader, axe: str, options: dict[str, Any]
) -> None:
    mixed_job(job)
    path = job.folder.parent / "shared.html"
    write_shared_page(job.folder, path)

    with reader.reading(path, accept_downloads=True, **options) as page:
        assert captions(page) == ["#1", "#2", "#3", "#4"]
        press_on_tile(page, 1, "f", "ArrowRight", "Enter", "ArrowRight", "f")
        shown = page.locator("#viewer img")
        assert shown.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 600
        assert violations(page, axe) == []
        page.keyboard.press("Escape")
        assert violations(page, axe) == []
        assert page.evaluate(OVERFLOWING) == []
        page.reload()
        assert download(page, "Save the list") == "#2\n#4\n"


def test_search_finds_number_of_shared_image(job: StoredJob, reader: Reader) -> None:
    with reader.reading(mixed_job(job)) as page:
        page.locator("#search").fill("#3")
        assert tiles(page) == ["item-2"]


def test_chinese_browser_gets_chinese_page(job: StoredJob, reader: Reader) -> None:
    with reader.reading(mixed_job(job), locale="zh-CN") as page:
        assert page.locator("html").get_attribute("lang") == "zh-Hans"
        assert "图片一览" in page.locator("main").inner_text()


def test_ten_thousand_items_can_be_searched(job: StoredJob, reader: Reader) -> None:
    job.list(*(an_item(n, f"card number {n}") for n in range(10_000)))

    with reader.reading(job.report()) as page:
        assert page.locator("#found").inner_text() == "10,000 of 10,000 shown"
        assert page.locator(".tile").count() < 1000
        page.get_by_label("Search").fill("number 9999")
        assert tiles(page) == ["item-9999"]


def matrix_job(job: StoredJob) -> Path:
    """Two scenes by two styles, each in two languages and twice."""
    places = [(s, t, g, n) for s in "ab" for t in "xy" for g in ("en", "zh") for n in "12"]
    items = [
        an_item(at, f"card {at}", scene=scene, style=style, greeting=greeting, size="A6", n=n)
        for at, (scene, style, greeting, n) in enumerate(places)
    ]
    job.list(*items)
    for item in items:
        job.done(item)
    job.run()
    return job.report()


def captions(page: Page) -> list[str]:
    return page.locator(".tile .name").all_text_contents()


def test_tile_shows_variables_that_are_no_axis(job: StoredJob, reader: Reader) -> None:
    with reader.reading(matrix_job(job)) as page:
        cell = ["en · (1)", "en · (2)", "zh · (1)", "zh · (2)"]
        assert captions(page) == 4 * cell
        assert page.get_by_role("button", name="zh · (2) item-3", exact=True).is_visible()
        picker(page, "Columns").select_option("greeting")
        assert captions(page)[:4] == ["x · (1)", "x · (2)", "y · (1)", "y · (2)"]
        picker(page, "Columns").select_option("none")
        picker(page, "Rows").select_option("none")
        assert captions(page)[:2] == ["a · x · en · (1)", "a · x · en · (2)"]


def test_tile_shows_id_where_variables_are_equal(job: StoredJob, reader: Reader) -> None:
    job.list(an_item(0, scene="snow"), an_item(1, scene="snow"), an_item(2, scene="rain"))

    with reader.reading(job.report()) as page:
        # The third is alone in its row, which says everything.
        assert captions(page) == ["item-0", "item-1"]


def test_phone_shows_a_picture_before_any_scrolling(job: StoredJob, reader: Reader) -> None:
    with reader.reading(matrix_job(job), **PHONE) as page:
        box = page.locator(".tile img").first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 844
        assert not page.locator("#search").is_visible()
        page.locator("#filter-title").focus()
        page.keyboard.press("Enter")
        picker(page, "scene").select_option("b")
        page.locator("#filter-title").press("Enter")
        assert page.locator("#filter-title").inner_text() == "Filters: 1 active"
        page.keyboard.press("/")
        page.keyboard.type("card 15")
        assert tiles(page) == ["item-15"]


def test_favourites_show_the_export_command(job: StoredJob, reader: Reader) -> None:
    with reader.reading(matrix_job(job), accept_downloads=True) as page:
        command = page.locator("#chosen .command code")
        assert command.count() == 0
        press_on_tile(page, 2, "f")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="JSON with notes").click()
        name = waiting.value.suggested_filename
        text = command.text_content() or ""
        assert text.endswith(
            f"batch-runner export 'jobs/horse cards.yaml' --output {job.folder} "
            f"--to {job.folder}-favourites --picks ~/Downloads/{name}"
        )
        press_on_tile(page, 3, "f")
        assert name not in (command.text_content() or "")
        press_on_tile(page, 2, "f")
        press_on_tile(page, 3, "f")
        assert command.count() == 0


LONG = "a_mare_and_her_foal/in-a-plum-orchard.with_a_very_long_name" * 3


def test_long_names_stay_in_their_boxes(job: StoredJob, reader: Reader) -> None:
    chinese = "新年快乐的小马在红灯笼下面跑过雪地" * 6
    items = [
        replace(an_item(n, LONG, scene=scene, style=style), id=f"{scene}-{style}-{n}")
        for n, (scene, style) in enumerate((a, b) for a in (LONG, chinese) for b in (chinese, LONG))
    ]
    job.list(*items)
    job.done(items[0])
    job.held(items[1])
    job.failed(items[2], LONG.replace("/", "_"))
    job.run()

    with reader.reading(job.report()) as page:
        press_on_tile(page, 0, "f")
        for width in (320, 360, 390, 480, 600, 740, 768, 1024, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert (width, page.evaluate(OVERFLOWING)) == (width, [])
            page.locator(".tile").first.click()
            assert (width, page.evaluate(OVERFLOWING)) == (width, [])
            page.keyboard.press("Escape")


#: Elements whose content is wider than they are, except those that scroll or are cut on purpose.
OVERFLOWING = """() => [...document.querySelectorAll('body *')].filter((one) => {
  if (!one.checkVisibility() || one.closest('.offscreen, .skip, svg, select, input')) return false;
  const box = one.getBoundingClientRect();
  const scrolled = one.closest('.scroll');
  const over = box.right > innerWidth + 1 && !(scrolled && one !== scrolled);
  const inline = getComputedStyle(one).display === 'inline';
  return over || (!inline && !one.matches('.scroll') && one.scrollWidth > one.clientWidth + 1);
}).map((one) => one.outerHTML.slice(0, 120))"""


#: Name, type and kind of results that are no pictures.
RESULTS = (
    ("clip.webm", "video/webm", "video"),
    ("song.mp3", "audio/mpeg", "audio"),
    ("horse.glb", "model/gltf-binary", "3D model"),
    ("all.zip", "application/zip", "file"),
    ("drawing.svg", "image/svg+xml", "SVG drawing"),
    ("poem.html", "text/html", "text"),
)
SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title = 'run'</script></svg>"


def with_results(job: StoredJob) -> None:
    """Add an item for each of RESULTS."""
    items = [an_item(n) for n in range(len(RESULTS))]
    job.list(*items)
    for item, (name, media_type, _) in zip(items, RESULTS, strict=True):
        (job.folder / name).write_bytes(SCRIPT * 20)
        placed = PlacedFile(
            name=name, size=len(SCRIPT) * 20, sha256=item.key * 2, media_type=media_type
        )
        job.submitted(item)
        job.record(item, Event.TASK_COMPLETED)
        job.record(item, Event.PLACED, files=(placed,))


def test_results_that_are_no_pictures_are_shown_by_kind(job: StoredJob, reader: Reader) -> None:
    with_results(job)

    with reader.reading(job.report()) as page:
        assert page.locator(".tile .kind").all_inner_texts() == [
            f"{kind}\n{len(SCRIPT) * 20 / 1000:.1f} kB" for _, _, kind in RESULTS
        ]
        page.locator(".tile").first.click()
        for name, _, _ in RESULTS:
            stage = page.locator("#viewer .stage")
            source = {"clip.webm": "video", "song.mp3": "audio"}.get(name)
            if source:
                player = stage.locator(source)
                assert player.get_attribute("src") == name
                assert player.get_attribute("preload") == "none"
                assert player.get_attribute("controls") is not None
                assert player.evaluate("(one) => one.networkState") in (0, 1)  # not loading
            links = page.locator(f"#viewer a[href='{name}']")
            assert links.count() == {"clip.webm": 1, "song.mp3": 1}.get(
                name, 0 if name.endswith(("svg", "html")) else 2
            )
            assert page.locator("#viewer .stage :is(img, iframe, object, embed)").count() == 0
            page.keyboard.press("ArrowRight")
        assert page.title() != "run"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_accepts_results_that_are_no_pictures(
    scheme: str, job: StoredJob, reader: Reader, axe: str
) -> None:
    with_results(job)

    with reader.reading(job.report(), color_scheme=scheme) as page:
        page.locator(".tile").first.click()
        for _ in RESULTS:
            assert violations(page, axe) == []
            page.keyboard.press("ArrowRight")
