"""Keys that must never change: a changed key pays for the item again.

When a test here fails, the code is wrong, not the table.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.manifest.helpers import items_of, write

PARAMS = (
    'params: {"9": {steps: 20, cfg: 7.5, tiled: true, none: null, flags: [1, {b: 2, a: [x]}]}, '
    '"6": {text: "TEXT", "é": "\\u9a6c \\"q\\" \\\\ /"}, "10": {seed: 7}}\n'
)
ROWS = (
    '{"name": "Ann", "size": 3, "x": {"b": 1.0, "a": [null, true, "\\u00e9"]}}\n'
    '{"name": "\\ud83d\\ude00", "size": 1e22, "x": -0.0}\n'
    '{"name": "/", "size": 12345678901234567890123, "x": []}\n'
    '{"id": "own", "name": "{x", "size": "3", "x": false}\n'
)
TABLE = 'First name,id,prompt\nAnn,7,a horse\nБо,8,"a ""dog"", in snow"\n'


def job(text: str, items: str, *, head: str = "workflow: w\n", params: str = PARAMS) -> str:
    return head + params.replace("TEXT", text) + items


JOBS = {
    "prompts": job(
        "{{ prompt }}", "prompts: [a horse, 马, 'a \"b\" / \\ c', {prompt: p, id: x}]\n"
    ),
    "templates": job(
        "{{ prompt | upper }} {{ style }} {{ n }} {{ id }} {{ job }}",
        'prompts: ["a {{ style }} horse", {prompt: b, style: clay, name: z}]\n'
        "defaults: {style: ink}\nrepeat: 2\n",
    ),
    "chance": job(
        "{{ prompt }} {{ pick(['red', 'gold']) }}",
        "prompts: [a, b]\nrepeat: 2\n",
        params=PARAMS.replace("seed: 7", 'seed: "{{ seed() }}"'),
    ),
    "matrix": job(
        "{{ scene }} {{ scene.id }} {{ greeting.text }} {{ size }}",
        "matrix:\n  scene: [a horse, 马, 3.0]\n  size: [1, true]\n"
        "  greeting: [{id: en, text: Hi}, {id: zh, text: 好}]\n"
        "  exclude: [{scene: 马, size: 1}]\n  include: [{scene: a dog, size: 9, greeting: en}]\n",
        params=PARAMS.replace("seed: 7", 'seed: "{{ size }}", all: "{{ greeting }}"'),
    ).replace("greeting: en}", "greeting: {id: en, text: Hi}}"),
    "rows": job(
        "for {{ name }}",
        "items_from: rows.jsonl\n",
        params=PARAMS.replace("seed: 7", 'seed: "{{ size }}", all: ["{{ x }}", why]'),
    ),
    "table": job("{{ prompt }} for {{ First_name }}", "items_from: table.csv\n"),
    "own": job(
        "{{ prompt }}",
        'prompts: [{prompt: a, params: {"6": {steps: 50, more: "{{ v }}"}}, v: [1, 2.5]}, '
        '{prompt: b, workflow: "{{ job }}-x", params: {"1": {t: "{{ prompt }}"}}, repeat: 2}]\n',
        head="workflow: w\nprovider: comfyui\njob: cards\n",
    ),
    "files": job(
        "{{ prompt }}",
        'prompts: [{prompt: a, who: ann}]\nfiles: {photo: "{{ who }}.jpg"}\n',
        params=PARAMS.replace("seed: 7", 'photo: "{{ photo }}"'),
    ),
}

KEYS: dict[str, list[str]] = {
    "prompts": [
        "df727836d1f0185ba6cdfc29d1748cde a-horse-df7278 a-horse-df7278",
        "8f1516999e1afd972a7f15561e5783e1 马-8f1516 马-8f1516",
        "5a9dbbb28d31a171099c0fb5495932d1 a-b-c-5a9dbb a-b-c-5a9dbb",
        "cd832edc1f12b5a7362b9854be0453c2 x x",
    ],
    "templates": [
        "aae4d6b2b3a5a6d9b302d1ffdd707261 a-style-horse-e3d891-1 a-style-horse-e3d891-1",
        "ed992185d7ee8af87f8dc0b9e09450a4 a-style-horse-e3d891-2 a-style-horse-e3d891-2",
        "afa8616f1e8f329a6b7c588b1cacb435 b-1c96f6-1 z-1",
        "b59ab03edd933656ef511d06ed03ad9b b-1c96f6-2 z-2",
    ],
    "chance": [
        "e7f782eaa94018abccf8a70da730f152 a-e7f782-1 a-e7f782-1",
        "ef79c58b1b0c263b25303b7f76a91e9c a-d39d8d-2 a-d39d8d-2",
        "d2d74a83b11a535d664b9a618412f48d b-d2d74a-1 b-d2d74a-1",
        "2df82698b88337327f34549718ccec49 b-44afe3-2 b-44afe3-2",
    ],
    "matrix": [
        "4aca98c56fb2b6490b603a72a538440f a-horse-1-en a-horse-1-en",
        "502d8de6ad9bdc46bea60dc64f3c5c6e a-horse-1-zh a-horse-1-zh",
        "fc994ef119fbc222b3ef57b4e33f83e1 a-horse-true-en a-horse-true-en",
        "be29c72b1259988127660ebfada906e5 a-horse-true-zh a-horse-true-zh",
        "68c211210b3c9bb748a1d09404a3c598 马-true-en 马-true-en",
        "9303bd25229f777a8ac8f33010a289ff 马-true-zh 马-true-zh",
        "8d18d4dc07c01505460269624283457c 3-0-1-en 3-0-1-en",
        "e09515b330fd3a2eb228328eaa75aa9b 3-0-1-zh 3-0-1-zh",
        "2323752d181d887524bdc7167d0396c6 3-0-true-en 3-0-true-en",
        "244a775f79fb9791489c7d61ce533b34 3-0-true-zh 3-0-true-zh",
        "29af3878ac0d1511d3d71ff6882a0d2d a-dog-9-en a-dog-9-en",
    ],
    "rows": [
        "df5850074143805f8192fb4a76936e54 ann-df5850 ann-df5850",
        "8001918a6f5cc4d00d6c03c0d59fe645 800191 800191",
        "8c7297c398c6975e59ea2e591b9cf6a4 8c7297 8c7297",
        "501e40114a091579f8095e34b2a3290e own own",
    ],
    "table": [
        "871a0a09e0468c522f88cd4fafb36e0b 7 7",
        "a20048a7dd72e5240572031cd72dd134 8 8",
    ],
    "own": [
        "6712a29ac9523d7abac86ad8185824db a-6712a2 a-6712a2",
        "866549b6aea79c5d25b9d3cf9ac8747a b-866549-1 b-866549-1",
        "a3f4c1e69792765abb5a01b216a6e9a6 b-866549-2 b-866549-2",
    ],
    "files": [
        "27e0f9b2eaafad3631a20540bf787163 a-27e0f9 a-27e0f9",
    ],
}


@pytest.mark.parametrize("name", JOBS)
def test_golden_keys_do_not_change(tmp_path: Path, name: str) -> None:
    write(tmp_path, ROWS, "rows.jsonl")
    write(tmp_path, TABLE, "table.csv")
    write(tmp_path, b"a photo of ann", "ann.jpg")

    items = items_of(write(tmp_path, JOBS[name]))

    assert [f"{item.key} {item.id} {item.name}" for item in items] == KEYS[name]
