"""The template language: what it renders, and what it refuses as unsafe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from batch_runner.manifest.templates.compiler import Compiler, RenderFailedError
from batch_runner.manifest.templates.random_values import ItemRandom
from batch_runner.manifest.templates.sandbox import TemplateRefusedError
from tests.unit.manifest.helpers import HEAD, items_of, location, problems_of, write

SCOPE: dict[str, Any] = {
    "name": "Anna",
    "city": "Ürümqi",
    "count": 3,
    "share": 0.5,
    "colours": ["red", "gold"],
    "greeting": {"id": "en", "text": "Hello", "items": "a key, not a method"},
    "nothing": None,
    "scene": "a horse",
    "_ids": {"scene": "a-horse"},
}


def render(source: str, *, text: bool = False) -> Any:
    draw = ItemRandom(["some item"])
    scope = {**SCOPE, "seed": draw.seed, "pick": draw.pick}
    return Compiler(frozenset({"scene"})).compile(source, text=text).render(scope)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        pytest.param("plain", "plain", id="no-template"),
        pytest.param("{{ name }}", "Anna", id="value"),
        pytest.param("Hi {{name}} of {{ city }}!", "Hi Anna of Ürümqi!", id="values-in-text"),
        pytest.param("{{ count }}", 3, id="number-stays-a-number"),
        pytest.param("{{ count + 1 }}", 4, id="computed-number"),
        pytest.param("{{ count }} horses", "3 horses", id="number-in-text"),
        pytest.param("{{ colours }}", ["red", "gold"], id="list-stays-a-list"),
        pytest.param("{{ greeting.text }}", "Hello", id="attribute"),
        pytest.param("{{ greeting['text'] }}", "Hello", id="item"),
        pytest.param("{{ greeting.items }}", "a key, not a method", id="keys-before-methods"),
        pytest.param("{{ scene.id }}: {{ scene }}", "a-horse: a horse", id="id-of-plain-value"),
        pytest.param("{{ name | upper }}", "ANNA", id="filter"),
        pytest.param("{{ 'Ein Pferd, weiß' | slug }}", "ein-pferd-weiß", id="slug"),
        pytest.param("{{ colours | join(' and ') }}", "red and gold", id="join"),
        pytest.param("{{ nothing or 'none' }}", "none", id="or"),
        pytest.param("{{ 'few' if count < 5 else 'many' }}", "few", id="condition"),
        pytest.param("{% if count > 2 %}herd{% else %}pair{% endif %}", "herd", id="if"),
        pytest.param("{% for c in colours %}{{ c }} {% endfor %}", "red gold ", id="loop"),
        pytest.param("{{ missing | default('x') }}", "x", id="default"),
        pytest.param("{# a note #}{{ name }}", "Anna", id="comment"),
        pytest.param("{{ '{{' }}", "{{", id="literal-braces"),
        pytest.param("line\n", "line\n", id="line-end-kept"),
    ],
)
def test_template_renders_value_and_type(source: str, value: object) -> None:
    found = render(source)

    assert found == value
    assert type(found) is type(value)


def test_text_template_renders_to_text() -> None:
    assert render("{{ count }}", text=True) == "3"
    assert render("{{ count + 1 }}", text=True) == "4"


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        pytest.param("{{ nmae }}", "{{ nmae }} has no value", "did you mean name?", id="variable"),
        pytest.param("{{ nmae | upper }}", "has no value", "did you mean name?", id="filtered"),
        pytest.param(
            "{{ greeting.txt }}", "greeting has no txt", "did you mean text?", id="attribute"
        ),
        pytest.param(
            "{{ greeting.txt | upper }}", "greeting has no txt", "text?", id="filtered-key"
        ),
        pytest.param("{{ greeting['txt'] }}", "greeting has no txt", "text?", id="element"),
        pytest.param("{{ count.id }}", "count has no id", "write {{ count }}", id="id-of-variable"),
        pytest.param("Hi {{ greeting }}", "a mapping with id, text", None, id="mapping"),
        pytest.param("Hi {{ colours }}", "is a list; use pick()", None, id="list"),
        pytest.param("Hi {{ nothing }}", "empty (null)", None, id="null"),
        pytest.param("{{ seed }}", "add parentheses", None, id="function"),
        pytest.param("{{ 1 / 0 }}", "divided by zero", None, id="division"),
        pytest.param("{{ pick([]) }}", "pick() needs a list", None, id="pick-of-nothing"),
    ],
)
def test_unusable_value_fails_rendering(source: str, message: str, hint: str | None) -> None:
    with pytest.raises(RenderFailedError, match=r".") as caught:
        render(source)

    assert message in str(caught.value)
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{ 'a' * 10**9 }}", id="repeated-text"),
        pytest.param("{{ [1] * 10**9 }}", id="repeated-list"),
        pytest.param("{{ 9 ** 9 ** 9 ** 9 }}", id="power"),
        pytest.param("{{ '%0999999999d' % 3 }}", id="formatted"),
        pytest.param("{{ range(10**9) | list }}", id="range"),
        pytest.param(
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
        ),
        pytest.param("{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}", id="long-loop"),
        pytest.param("{{ 'x' | replace('', 'y' * 60000) | replace('', 'z' * 60000) }}", id="fill"),
        pytest.param("{{ range(9999) | join('x' * 9999) }}", id="join"),
        pytest.param("{{ name | round(10**9) }}", id="round"),
        pytest.param("{{ ''.__class__.__mro__ }}", id="attributes"),
        pytest.param("{{ name.upper() }}", id="method"),
        pytest.param("{{ 'x'.ljust(10**9) }}", id="padding-method"),
        pytest.param("{{ name | center(10**9) }}", id="padding-filter"),
        pytest.param("{{ colours | random }}", id="chance"),
        pytest.param("{{ colours.append(1) }}", id="change"),
        pytest.param("{{ lipsum() }}", id="global"),
        pytest.param("{{ self.__init__ }}", id="self"),
        pytest.param("{{ name | attr('__class__') }}", id="attr-filter"),
        pytest.param("{% set a = 1 %}", id="set"),
        pytest.param("{% macro m() %}{{ m() }}{% endmacro %}", id="macro"),
        pytest.param("{% include 'x' %}", id="include"),
        pytest.param("{% import 'os' as os %}", id="import"),
        pytest.param("{% extends 'x' %}", id="extends"),
        pytest.param("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", id="recursion"),
        pytest.param("{{ " + "(" * 5000 + ")" * 5000 + " }}", id="brackets"),
        pytest.param("{{ 1" + "+1" * 5000 + " }}", id="long-sum"),
        pytest.param("{{ " + "-" * 5000 + "1 }}", id="long-sign"),
        pytest.param("{{ name }}" * 20_000, id="long-template"),
        pytest.param("{{ name", id="open"),
        pytest.param("{% if name %}", id="open-if"),
        pytest.param("{{ }}", id="nothing"),
    ],
)
def test_unsafe_template_is_refused(source: str) -> None:
    with pytest.raises((TemplateRefusedError, RenderFailedError)):
        render(source)


def test_method_call_hint_names_the_filter() -> None:
    with pytest.raises(TemplateRefusedError) as caught:
        render("{{ name.upper() }}")

    assert caught.value.hint == "use a filter: {{ value | upper }}"


def test_unknown_variable_is_reported_at_its_position(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + 'prompts:\n  - a horse\n  - "{{ prompt }} and {{ promt }}"\n')

    (problem,) = problems_of(path)

    assert location(problem) == (5, 26)
    assert problem.message == "there is no variable promt"
    assert problem.hint == "did you mean prompt?"


def test_variable_missing_in_one_item_is_reported_there(tmp_path: Path) -> None:
    text = HEAD.replace("{{ prompt }}", "{{ prompt }} in {{ style }}")
    path = write(tmp_path, text + "prompts:\n  - {prompt: a, style: ink}\n  - {prompt: b, id: b}\n")

    (problem,) = problems_of(path)

    assert location(problem) == (5, 5)
    assert problem.item == "b"
    assert problem.hint == "give this item its own style, or all of them one under defaults"


def test_templates_render_at_any_depth_of_params(tmp_path: Path) -> None:
    params = '{"1": {a: [{b: "{{ prompt }}!"}, 2, true, null], c: 1.5}}'
    path = write(tmp_path, f"workflow: w\nparams: {params}\nprompts: [hi]\n")

    (item,) = items_of(path)

    assert item.params == {"1": {"a": [{"b": "hi!"}, 2, True, None], "c": 1.5}}


def test_workflow_may_be_a_template(tmp_path: Path) -> None:
    head = HEAD.replace("cards", '"{{ kind }}_card"')
    path = write(tmp_path, head + "prompts: [a]\nmatrix: {kind: [horse, dog]}\n")

    assert [item.workflow for item in items_of(path)] == ["horse_card", "dog_card"]
