"""Signs of a Chinese input method where YAML wants ASCII: told at their place, never in prose."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_runner.manifest import load
from tests.unit.manifest.helpers import HEAD, items_of, location, problems_of, the_problem, write

STYLED = HEAD.replace("{{ prompt }}", "{{ prompt }} {{ style }}")
PROMPTS = HEAD + "prompts: [a]\n"
BOTH = STYLED + "prompts: [a]\n"


@pytest.mark.parametrize(
    ("text", "at", "typed"),
    [
        pytest.param("matrix: {style: [剪纸，水墨，3D]}\n", (4, 20), ", for ，", id="comma"),
        pytest.param("matrix: {style: [剪纸、水墨]}\n", (4, 20), ", for 、", id="list-comma"),
        pytest.param("matrix:\n  style: ［剪纸，水墨］\n", (5, 10), "[ for ［", id="brackets"),
        pytest.param(
            "matrix:\n  style: 【剪纸，水墨】\n", (5, 10), "[ for 【", id="black-brackets"
        ),
        pytest.param("matrix: ｛style: [剪纸]｝\n", (4, 9), "{ for ｛", id="braces"),
        pytest.param("matrix: {style：[剪纸]}\n", (4, 15), ": for ：", id="colon-in-braces"),
        pytest.param("matrix：\n  style: [剪纸]\n", (4, 7), ": for ：", id="colon-of-block"),
        pytest.param("matrix:\n  style： [剪纸]\n", (5, 8), ": for ：", id="colon-in-block"),
        pytest.param("matrix:\n  style：\n  - 剪纸\n", (5, 8), ": for ：", id="colon-before-list"),
        pytest.param("matrix:\n  “style”: [剪纸]\n", (5, 3), '" for “', id="quotes-of-key"),
        pytest.param("matrix:\n\u3000\u3000style: [剪纸]\n", (5, 1), "U+3000", id="indentation"),
        pytest.param("matrix:\n  style:\u3000[剪纸]\n", (5, 9), "U+3000", id="space-after-colon"),
        pytest.param(
            "matrix:\n  style:\n  - 剪纸\n  －\u3000水墨\n", (7, 3), "- for －", id="dash"
        ),
    ],
)
def test_full_width_sign_in_a_matrix_is_told(
    tmp_path: Path, text: str, at: tuple[int, int], typed: str
) -> None:
    problem = the_problem(tmp_path, BOTH + text)

    assert location(problem) == at
    assert "as text, not as" in problem.message
    assert typed in (problem.hint or "")


@pytest.mark.parametrize(
    ("line", "at", "typed"),
    [
        pytest.param("prompts:\n-\u3000一匹马\n", (4, 2), "U+3000", id="space-after-dash"),
        pytest.param("prompts:\n－ 一匹马\n", (4, 1), "- for －", id="dash"),
        pytest.param("prompts:\n— 一匹马\n", (4, 1), "- for —", id="em-dash"),
        pytest.param("prompts:\n  － 一匹马\n  － 二\n", (4, 3), "- for －", id="inner-dash"),
        pytest.param("prompts:\n- 一匹马\n＃ 注释\n", (5, 1), "# for ＃", id="comment"),
        pytest.param("prompts:\n- prompt： 马\n", (4, 9), ": for ：", id="key-of-prompt"),
        pytest.param("prompts:\n- {prompt: 马， id: b}\n", (4, 13), ", for ，", id="braces"),
        pytest.param("prompts：\n- 马\n", (3, 8), ": for ：", id="colon"),
        pytest.param("prompts: ［马］\n", (3, 10), "[ for ［", id="brackets"),
        pytest.param("prompts: [马]\nlimits:\n  rate：5/s\n", (5, 7), ": for ：", id="no-space"),
        pytest.param(
            "prompts: [马]\nlimits: {rate: 5/s；in_flight: 3}\n",
            (4, 19),
            ", for ；",
            id="semicolon",
        ),
        pytest.param(
            "prompts: [马]\noutput: {name: “{{ id }}”}\n", (4, 16), '" for “', id="template"
        ),
        pytest.param("prompts: [马]\njob: “马年”\n", (4, 6), '" for “', id="quotes-of-name"),
    ],
)
def test_full_width_sign_around_prompts_is_told(
    tmp_path: Path, line: str, at: tuple[int, int], typed: str
) -> None:
    problems = problems_of(write(tmp_path, HEAD + line))

    assert location(problems[0]) == at
    assert typed in (problems[0].hint or "")
    assert all("as text, not as" in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        *[("５", "5"), ("－５", "-5"), ("7．5", "7.5"), ("ｔrue", "true"), ("true；", "true")],
        *[("30，", "30"), ("ＦＡＬＳＥ", "FALSE")],
    ],
)
def test_number_in_full_width_is_neither_text_nor_number(
    tmp_path: Path, value: str, typed: str
) -> None:
    text = f'workflow: w\nparams: {{"6": {{text: "{{{{ prompt }}}}", x: {value}}}}}\nprompts: [a]\n'

    problem = the_problem(tmp_path, text)

    assert location(problem) == (2, 41)
    assert f"type {typed} " in (problem.hint or "")
    quoted = write(tmp_path, text.replace(f"x: {value}", f'x: "{value}"'))
    assert items_of(quoted)[0].params["6"]["x"] == value


@pytest.mark.parametrize(
    ("line", "column", "typed"),
    [
        pytest.param("limits: {rate: 5／s}", 17, "5/s", id="rate"),
        pytest.param("limits: {in_flight: ３}", 21, "3", id="count"),
        pytest.param('repeat: "３"', 10, "3", id="quoted-count"),
        pytest.param("repeat: “3”", 9, '" for “', id="count-in-quotes"),
        pytest.param("timeouts: {submit: １０s}", 20, "10s", id="duration"),
        pytest.param("downloads: {max_bytes: 200 ＭＢ}", 28, "200 MB", id="size"),
        pytest.param('limits: {until: "06：30"}', 20, "06:30", id="time"),
        pytest.param("limits: {in_flight: 3\u3000# mine}", 22, "U+3000", id="comment"),
    ],
)
def test_full_width_sign_in_a_setting_is_told(
    tmp_path: Path, line: str, column: int, typed: str
) -> None:
    problem = the_problem(tmp_path, PROMPTS + line.replace("mine}", "mine\n  }") + "\n")

    assert location(problem) == (4, column)
    assert f"{typed}" in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    ("template", "column", "typed"),
    [
        pytest.param("｛｛ prompt ｝｝", 23, "type {{ prompt }}", id="braces"),
        pytest.param("{{ prompt ｝}", 33, "} for ｝", id="one-brace"),
        pytest.param("{{ prompt ｜ upper }}", 33, "| for ｜", id="bar"),
        pytest.param("{{ prompt }}{{ seed（） }}", 42, "( for （", id="parentheses"),
        pytest.param("马，{{ pick(['a'，prompt]) }}", 37, ", for ，", id="comma"),
        pytest.param("{{ prompt }} ｛｛ n ｝｝", 36, "type {{ n }}", id="second"),
    ],
)
def test_full_width_sign_in_a_template_is_told(
    tmp_path: Path, template: str, column: int, typed: str
) -> None:
    text = HEAD.replace("{{ prompt }}", template) + "prompts: [a]\n"

    problem = the_problem(tmp_path, text)

    assert location(problem) == (2, column)
    assert typed in (problem.hint or "")


@pytest.mark.parametrize("cell", ["３", "7．5", "１０"])
def test_full_width_number_in_a_column_is_no_number(tmp_path: Path, cell: str) -> None:
    write(tmp_path, f"prompt,steps\na,{cell}\n", "rows.csv")
    head = HEAD.replace('"}', '", steps: "{{ steps | float }}"}')

    (problem,) = problems_of(write(tmp_path, head + "items_from: rows.csv\n"))

    assert f"{cell} is not a number" in problem.message
    assert "type " in problem.message


#: Prompts that contain such signs and are meant as they are.
PROSE = [
    "一匹马，雪中：美丽（真的）；是吗？“福”！",
    "写着“福”的卡",
    "“福”和“春”",
    "【新年】一匹马、一只羊",
    "风格：油画，一匹马",
    "比例 １６：９，写着 ５％",
    "一匹马 — 雪",
    "－１０ 度的雪",
    "全角　空格",
    "＃新年＃ 快乐",
    "｛马｝",
    "标题：［春］",
    "名字。",
]


@pytest.mark.parametrize("prompt", PROSE)
@pytest.mark.parametrize("form", ["- {}", '- "{}"', "- prompt: {}\n  id: x", "- |\n    {}"])
def test_prompt_with_chinese_signs_is_kept(tmp_path: Path, prompt: str, form: str) -> None:
    path = write(tmp_path, f"{HEAD}prompts:\n{form.format(prompt)}\n")

    assert [item.prompt.strip() for item in items_of(path)] == [prompt]
    assert load(path).warnings() == []


def test_paragraphs_with_wide_indentation_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEAD}prompts:\n- |\n  \u3000\u3000马\n  \u3000\u3000－ 羊\n")

    assert items_of(path)[0].prompt == "\u3000\u3000马\n\u3000\u3000－ 羊\n"


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        pytest.param("- 一匹马\u3000# 注释", (4, 6), id="wide-space-before-comment"),
        pytest.param("- 一匹马 ＃1", (4, 7), id="wide-number-sign"),
        pytest.param("- 马\n  － 羊", (5, 3), id="wide-dash-continues"),
        pytest.param("- “一匹马”", (4, 3), id="wide-quotes"),
        pytest.param("- id： x", (4, 5), id="wide-colon"),
        pytest.param("- ［a，b］", (4, 3), id="wide-brackets"),
    ],
)
def test_doubtful_prompt_gets_a_warning(tmp_path: Path, lines: str, at: tuple[int, int]) -> None:
    path = write(tmp_path, f"{HEAD}prompts:\n{lines}\n")

    assert len(items_of(path)) == 1
    (warning,) = load(path).warnings()
    assert location(warning) == at
    assert "in quotes" in (warning.hint or "")


def test_quotes_around_a_doubtful_text_silence_the_warning(tmp_path: Path) -> None:
    path = write(tmp_path, f'{STYLED}prompts: ["马，雪"]\nmatrix: {{style: ["剪纸，水墨"]}}\n')

    assert len(items_of(path)) == 1
    assert load(path).warnings() == []


def test_every_wrong_line_is_told_at_once(tmp_path: Path) -> None:
    text = (
        "workflow： cards\nparams：\n  “6”：{text: “{{ prompt }}”}\nprompts：\n－ 马\n－ 羊\n"
        "limits：\n\u3000\u3000rate：５/s\n"
    )

    problems = problems_of(write(tmp_path, text))

    assert [problem.line for problem in problems] == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert [problem.column for problem in problems[:8]] == [9, 7, 3, 8, 1, 1, 7, 1]
