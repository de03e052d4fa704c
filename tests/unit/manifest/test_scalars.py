from __future__ import annotations

import pytest

from batch_runner.manifest.yaml.scalars import AmbiguousScalar, resolve_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("TRUE", True),
        ("false", False),
        ("0", 0),
        ("-17", -17),
        ("+3", 3),
        ("0x1f", 31),
        ("0o17", 15),
        ("1.", 1.0),
        (".5", 0.5),
        ("1.5e+3", 1500.0),
        ("none", "none"),
        ("nothing to see", "nothing to see"),
        ("3d_face", "3d_face"),
        ("10 horses", "10 horses"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("tRue", "tRue"),
        ("horse-2026-01-30", "horse-2026-01-30"),
        ("5/s", "5/s"),
        ("0.12 CNY", "0.12 CNY"),
    ],
)
def test_plain_scalar_is_read_as_yaml_1_2(text: str, value: object) -> None:
    found = resolve_scalar(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("y", "No", "ON", "off"),
        *("010", "-007", "0b11", "1_000", "1_0.5"),
        *("1:30", "12:30:15", "190:20:30.15", "2026-1-30", "2001-12-14 21:59:43.10"),
        *("1e3", "1.0e3", "-2E5", "1.0e+999", ".inf", "-.INF", ".NaN", "9" * 400),
        "=",
    ],
)
def test_ambiguous_scalar_is_refused(text: str) -> None:
    found = resolve_scalar(text)

    assert isinstance(found, AmbiguousScalar)
    assert "quotes" in found.hint or "for the text" in found.hint
