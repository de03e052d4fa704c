from __future__ import annotations

import unicodedata

import pytest

from batch_runner.engine.selection import SelectedItems
from batch_runner.errors import UsageError
from batch_runner.models import ItemSpec
from batch_runner.planning.selection import Selection, select_items
from tests.harness import an_item, some_items

ITEMS = some_items(30)


def selected(selection: Selection, items: list[ItemSpec] = ITEMS) -> list[str]:
    found = select_items(selection, lambda: items)
    assert found is not None
    return [item.id for item in items if item.position in found]


def named(**texts: str) -> ItemSpec:
    item = an_item(100)
    for attribute, text in texts.items():
        setattr(item, attribute, text)
    return item


def test_no_selection_selects_all() -> None:
    assert select_items(None, lambda: ITEMS) is None
    assert select_items(Selection(), lambda: ITEMS) is None


@pytest.mark.parametrize(
    "only",
    ["item-7", f"{7:032x}", "card-7", "card-7.png", "card-7.JPG", "item-[7]", "*-7"],
)
def test_only_finds_id_key_file_name_or_pattern(only: str) -> None:
    assert selected(Selection(only=(only,))) == ["item-7"]


def test_several_names_select_each_once() -> None:
    only = ("item-2?", "card-21", "item-3")

    assert selected(Selection(only=only)) == ["item-3", *(f"item-2{n}" for n in range(10))]


def test_exact_id_comes_before_pattern() -> None:
    items = [*ITEMS, named(id="item-*")]

    assert selected(Selection(only=("item-*",)), items) == ["item-*"]


def test_id_that_was_shown_cut_off_is_found() -> None:
    items = [named(id="a" * 80)]

    assert selected(Selection(only=("a" * 59 + "…",)), items) == ["a" * 80]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_name_is_found_in_any_unicode_form(form: str) -> None:
    only = unicodedata.normalize(form, "ré*")  # type: ignore[arg-type]

    for given in ("NFC", "NFD"):
        item = named(id=unicodedata.normalize(given, "rémy"))
        assert selected(Selection(only=(only,)), [item]) == [item.id]


def test_unknown_name_is_refused_with_suggestion() -> None:
    with pytest.raises(UsageError, match=r'"itm-7"; did you mean item-7\?'):
        select_items(Selection(only=("item-1", "itm-7")), lambda: ITEMS)
    with pytest.raises(UsageError, match=r'name "zebra\*"; `batch-runner plan` shows'):
        select_items(Selection(only=("zebra*",)), lambda: ITEMS)


def test_first_are_those_of_the_manifest_in_any_order_of_rows() -> None:
    found = select_items(Selection(first=3), lambda: reversed(ITEMS))

    assert found is not None
    assert [item.position for item in ITEMS if item.position in found] == [0, 1, 2]
    assert selected(Selection(first=2, only=("item-1?",))) == ["item-10", "item-11"]
    assert len(selected(Selection(first=99))) == 30


@pytest.mark.parametrize("only", [(), ("item-?",)])
def test_first_of_items_in_order_are_the_same(only: tuple[str, ...]) -> None:
    ordered = select_items(Selection(first=3, only=only), lambda: ITEMS, in_order=True)

    assert ordered is not None
    assert [item.position for item in ITEMS if item.position in ordered] == [0, 1, 2]


def test_sample_is_the_same_on_every_machine() -> None:
    assert selected(Selection(sample=3, seed=1)) == ["item-13", "item-24", "item-27"]


def test_larger_sample_contains_smaller_one() -> None:
    small, large = (set(selected(Selection(sample=n, seed=4))) for n in (5, 12))

    assert (len(small), len(large)) == (5, 12)
    assert small < large
    assert small != set(selected(Selection(sample=5, seed=5)))


def test_sample_does_not_depend_on_the_order_of_the_manifest() -> None:
    moved = [*reversed(some_items(30))]
    for position, item in enumerate(moved):
        item.position = position

    assert set(selected(Selection(sample=5), moved)) == set(selected(Selection(sample=5)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"first": 1, "sample": 1}, "cannot be combined"),
        ({"first": 0}, "--first needs a number of at least 1"),
        ({"sample": -1}, "--sample needs a number of at least 1"),
    ],
)
def test_impossible_selection_is_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Selection(**values)  # type: ignore[arg-type]


def test_next_selected_position_is_found() -> None:
    items = SelectedItems([3, 9])

    assert [items.next(after) for after in (-1, 3, 8, 9, 50)] == [3, 9, 9, None, None]
    assert len(items) == 2
    assert 50 not in items
