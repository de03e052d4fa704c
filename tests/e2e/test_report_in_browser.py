"""The page in a real browser: it opens from the disk, works by keyboard and asks nobody.

A probe is laid beside the page and added to a copy of it; it presses keys as a reader would and
writes what it saw into the document, which the browser prints when it is done.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batch_runner.manifest import load
from tests.report_night import HOSTILE, Night, an_item

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]
#: `npm install --no-save axe-core` in the project's folder puts it there.
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=10000",
)  # fmt: skip

PROBE = """
const saw = {};
const tiles = () => [...document.querySelectorAll('.tile')];
const press = (key) => document.activeElement.dispatchEvent(
  new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
const button = (words) => [...document.querySelectorAll('button')]
  .find((one) => one.textContent.includes(words) && one.checkVisibility());
const until = async (ready) => {
  while (!ready()) await new Promise((resolve) => setTimeout(resolve, 20));
};
const downloads = [];
URL.createObjectURL = (blob) => { downloads.push(blob.text()); return '#'; };
(async () => {
  await until(() => document.documentElement.dataset.ready);
  %s
  const out = document.createElement('pre');
  out.id = 'saw';
  out.textContent = JSON.stringify(saw);
  document.body.append(out);
})();
"""


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path / "out")
    yield night
    night.journal.close()


class Reader:
    """A browser with a profile of its own, so that what it keeps outlives a page."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile

    def look(self, page: Path, *, language: str = "en-US", flag: str = "--hide-scrollbars") -> str:
        """Open `page` and return the document as it is in the end."""
        done = subprocess.run(
            [
                str(CHROMIUM),
                *FLAGS,
                f"--user-data-dir={self._profile}",
                f"--accept-lang={language}",
                flag,
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            timeout=50,
            encoding="utf-8",
            errors="replace",
        )
        # A script error, a picture that was not found, anything the policy had to stop.
        assert "CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    def act(self, page: Path, script: str, *libraries: Path, **options: str) -> dict[str, Any]:
        """Open `page`, run `script` in it and return what it put into `saw`."""
        helpers = "".join(path.read_text("utf-8") for path in libraries)
        (page.parent / "probe.js").write_text(helpers + PROBE.replace("%s", script), "utf-8")
        probed = page.with_name("probed.html")
        text = page.read_text("utf-8").replace("</body>", '<script src="probe.js"></script></body>')
        probed.write_text(text, "utf-8")
        dom = self.look(probed, **options)
        found = re.search(r'<pre id="saw">(.*?)</pre>', dom, re.DOTALL)
        assert found, dom[-2000:]
        saw: dict[str, Any] = json.loads(unescape(found[1]))
        return saw


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "profile")


def a_mixed_night(night: Night) -> Path:
    items = [
        an_item(n, f"card number {n}", scene=f"scene-{n // 2}", style=f"style-{n % 2}")
        for n in range(7)
    ]
    night.list(*items)
    for item in items[:4]:
        night.done(item)
    night.failed(items[4])
    night.held(items[5])
    night.unfetched(items[6])
    night.run()
    return night.report()


def test_the_page_opens_from_the_disk_and_shows_what_is_missing(
    night: Night, reader: Reader
) -> None:
    page = a_mixed_night(night)

    saw = reader.act(
        page,
        """
        saw.title = document.querySelector('h1').textContent;
        saw.groups = document.querySelectorAll('.group').length;
        saw.tiles = tiles().map((one) => one.className);
        saw.holes = document.querySelectorAll('.void').length;
        await until(() => [...document.images].some((one) => one.naturalWidth > 0));
        saw.charts = document.querySelectorAll('.chart').length;
        """,
    )

    assert saw["title"].startswith("1 of 7 items is held")
    assert saw["groups"] == 3
    assert saw["tiles"] == [*["tile done"] * 4, "tile failed", "tile held", "tile unfetched"]
    assert saw["holes"] == 1  # scene-3 was not asked for in style-1
    assert saw["charts"] == 3


def test_hostile_prompts_are_shown_as_text(night: Night, reader: Reader) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in HOSTILE.values()]
    items = [an_item(n, text, **{"__proto__": text[:40]}) for n, text in enumerate(texts)]
    night.list(*items)
    for item in items:
        night.failed(item, reason=item.prompt[:60])

    saw = reader.act(
        night.report(),
        """
        saw.prompts = [];
        tiles()[0].click();
        for (const one of tiles()) {
          saw.prompts.push(document.querySelector('#viewer .prompt').textContent);
          press('ArrowRight');
        }
        saw.title = document.title;
        saw.strangers = document.querySelectorAll('img[src=x], main script').length;
        """,
    )

    assert sorted(saw["prompts"]) == sorted(texts)
    assert saw["title"] == "horse-cards"
    assert saw["strangers"] == 0


def test_favourites_and_notes_survive_a_reload(night: Night, reader: Reader) -> None:
    page = a_mixed_night(night)
    writing = reader.act(
        page,
        """
        tiles()[1].focus(); press('f');
        tiles()[2].focus(); press('f');
        tiles()[2].click();
        const note = document.getElementById('note');
        note.value = 'the one';
        note.focus();
        note.dispatchEvent(new Event('input'));
        saw.focus = document.activeElement.id;
        """,
    )

    saw = reader.act(
        page,
        """
        saw.favourites = tiles().filter((one) => one.classList.contains('favourite'))
          .map((one) => one.textContent);
        button('List of files').click();
        button('JSON with notes').click();
        [saw.list, saw.json] = await Promise.all(downloads);
        """,
    )

    assert writing["focus"] == "note"
    assert saw["favourites"] == ["item-1", "item-2"]
    assert saw["list"] == "card-1.png\ncard-2.png\n"
    picks = json.loads(saw["json"])["picks"]
    assert [(pick["id"], pick["note"]) for pick in picks] == [("item-1", ""), ("item-2", "the one")]


def test_more_like_these_is_a_manifest_that_sends_the_same(
    night: Night, reader: Reader, tmp_path: Path
) -> None:
    items = [
        an_item(0, "a {{ horse }}: 'red'\n# no comment"),
        an_item(1, "新年快乐 🐎"),
        replace(an_item(2, "a foal"), params={"6": {"text": "a foal, at dawn"}, "7": {"cfg": 2.5}}),
    ]
    night.list(*items)
    for item in items:
        night.done(item)

    saw = reader.act(
        night.report(),
        """
        for (const one of tiles()) { one.focus(); press('f'); }
        button('more like these').click();
        await until(() => downloads.length);
        saw.manifest = await downloads[0];
        """,
    )

    path = tmp_path / "more-like-these.yaml"
    path.write_text(saw["manifest"], "utf-8")
    specs = list(load(path).items())
    assert [(spec.prompt, spec.params) for spec in specs[::4]] == [
        (item.prompt, item.params) for item in items
    ]
    assert len(specs) == 4 * len(items)


def test_filters_search_and_languages_change_what_is_shown(night: Night, reader: Reader) -> None:
    saw = reader.act(
        a_mixed_night(night),
        """
        const search = document.getElementById('search');
        search.value = 'NUMBER 3';
        search.dispatchEvent(new Event('input'));
        saw.searched = tiles().map((one) => one.textContent);
        button('Show all').click();
        button('Show these').click();
        saw.group = tiles().map((one) => one.className);
        document.getElementById('language').click();
        saw.chinese = document.querySelector('h1').textContent;
        saw.language = document.documentElement.lang;
        """,
    )

    assert saw["searched"] == ["item-3"]
    assert saw["group"] == ["tile held"]
    assert saw["chinese"].startswith("7 项中有 1 项待定")
    assert saw["language"] == "zh-Hans"


def test_the_keyboard_walks_opens_and_compares(night: Night, reader: Reader) -> None:
    saw = reader.act(
        a_mixed_night(night),
        """
        tiles()[0].focus();
        press('c'); press('ArrowRight'); press('c'); press('ArrowDown');
        saw.focus = document.activeElement.textContent;
        document.activeElement.click();
        press('ArrowLeft');
        saw.viewer = document.getElementById('viewer-title').textContent;
        button('Compare 2').click();
        saw.compared = [...document.querySelectorAll('#comparison figure strong')]
          .map((one) => one.textContent);
        """,
    )

    assert saw["focus"] == "item-3"
    assert saw["viewer"] == "item-2"
    assert saw["compared"] == ["item-0", "item-1"]


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm install --no-save axe-core")
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
@pytest.mark.parametrize(
    "state",
    [
        pytest.param("", id="page"),
        pytest.param("tiles()[0].click();", id="viewer"),
        pytest.param(
            "for (const one of tiles().slice(0, 2)) { one.focus(); press('c'); press('f'); }",
            id="tray",
        ),
    ],
)
def test_axe_finds_nothing_to_object_to(
    night: Night, reader: Reader, state: str, scheme: int
) -> None:
    script = f"""
        {state}
        await axe.run().then((found) => {{
          saw.violations = found.violations.map((one) => [one.id, one.nodes.map((n) => n.html)]);
        }});
        """

    saw = reader.act(
        a_mixed_night(night), script, AXE, flag=f"--blink-settings=preferredColorScheme={scheme}"
    )

    assert saw["violations"] == []


def test_a_chinese_reader_is_met_in_chinese(night: Night, reader: Reader) -> None:
    dom = reader.look(a_mixed_night(night), language="zh-CN")

    assert 'lang="zh-Hans"' in dom
    assert "图片一览" in dom
