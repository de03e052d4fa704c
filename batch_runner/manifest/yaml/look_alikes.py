"""Full-width signs where YAML wants ASCII: `风格：` `［剪纸，水墨］` `－ 一匹马`.

`look_alike` returns the mistake in a line; `misread`, `doubts` and `list_doubt` judge unquoted
texts that YAML accepts, but reads as something else. Whatever stands in quotes is text, so quotes
are the way out. Prompts and other texts that are sent may contain any sign: at most a warning is
given for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from batch_runner.manifest.yaml.mistake import Mistake
from batch_runner.util.fullwidth import WIDE_SPACES, ascii_form, first_sign, how_to_type, sign_shown
from batch_runner.util.locale import tr

#: Where a value is: the keys from the top; "[]" stands for an entry of a list.
Steps = tuple[str, ...]
Verdict = Literal["error", "warning"]

_SPACE = f"[{WIDE_SPACES}]"
_DASHES = "－—–−﹣‐‑―"
_HEAD = re.compile(rf"[ \t{WIDE_SPACES}]*(?:[-{_DASHES}](?:[ \t]|{_SPACE})+)*")
_KEY = re.compile(
    r"""(?:"[^"]*"|'[^']*'|“[^”]*”|[^\s:：#＃'"\[\]{}［］｛｝【】，]{1,60})[ \t]*[:：]"""
)
_OPENERS = re.compile(r"[\[{［｛【]")
_FLOW = {**dict.fromkeys("［【", "["), **dict.fromkeys("］】", "]"), "｛": "{", "｝": "}"}
_FLOW |= {"，": ",", "、": ",", "；": ",", "：": ":", **dict.fromkeys("“”", '"')}

#: Values that are texts for the service, in which every sign may be meant.
_PROSE = frozenset({"prompts", "params", "defaults", "matrix"})
#: Keys of a prompt that are not sent as text.
_PROMPT_SETTINGS = frozenset({"id", "workflow", "name", "attempts", "repeat"})
_SCALARS = frozenset(
    {"job", "provider", "workflow", "prompts_from", "items_from", "encoding", "repeat", "attempts"}
)

_KEY_OF_PROMPT = re.compile(r"(prompt|id|workflow|params|name|attempts|repeat)[ \t]*：")
_WRAPPED = re.compile(r"“[^“”]*”|‘[^‘’]*’|［.*］|｛[^｝]*[:：].*｝")
_COMMENT = re.compile(rf"{_SPACE}#(?:\s|$)|[\s]＃")
_SEPARATOR = re.compile(r"[，、；]")
_WIDE_NUMBER = re.compile("[０-９]+")
_DASH_LINE = re.compile(rf"\n[ \t]*([{_DASHES}])[ \t{WIDE_SPACES}]")


def typed_signs(source: str) -> list[str]:
    """Return for each sign of a line what was probably meant: ASCII signs where YAML has them.

    Signs inside a text stay, except in a list or mapping in brackets.
    """
    if source.isascii():
        return [*source]
    head = _HEAD.match(source)
    start = head.end() if head else 0
    typed, rest = [*ascii_form(source[:start])], source[start:]
    if rest.startswith("＃"):
        return [*typed, "#", *rest[1:]]
    if (key := _KEY.match(rest)) and not ("-" in typed and _is_prose(key[0], rest[key.end() :])):
        name, end = key[0][:-1], key.end()
        quoted = name.startswith("“") or _WIDE_NUMBER.fullmatch(name.strip())
        typed += [*(ascii_form(name) if quoted else name), _colon(rest, end)]
        while end < len(rest) and rest[end] in WIDE_SPACES:
            typed.append(" ")
            end += 1
        rest = rest[end:]
    return typed + (_typed_flow(rest) if _OPENERS.match(rest.lstrip()) else _typed_value(rest))


def _is_prose(key: str, value: str) -> bool:
    """Return whether an entry of a list is a text that starts with a word and a colon."""
    return not (key.endswith(":") or _KEY_OF_PROMPT.match(key) or _OPENERS.match(value.lstrip()))


def _colon(text: str, end: int) -> str:
    """Return the colon before `end`, with a space if none follows a full-width one."""
    tight = text[end - 1] == "：" and text[end : end + 1].strip(WIDE_SPACES + " ")
    return ": " if tight else ":"


def _typed_flow(text: str) -> list[str]:
    """Return the signs of a list or mapping in brackets, in ASCII outside of quotes."""
    typed, quote = [], ""
    for at, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
            typed.append(sign)
        elif sign in "\"'":
            quote = sign
            typed.append(sign)
        elif sign == "：":
            typed.append(_colon(text, at + 1))
        else:
            typed.append(" " if sign in WIDE_SPACES else _FLOW.get(sign, sign))
    return typed


def _typed_value(text: str) -> list[str]:
    """Return the signs of a value, in ASCII quotes if it is a template in typographic ones."""
    bare = text.strip()
    if bare[:1] == "“" and bare[-1:] == "”" and '"' not in bare and "{" in bare:
        return [*text.replace("“", '"').replace("”", '"')]
    return [*text]


def look_alike(line: int, source: str) -> Mistake | None:
    """Return the mistake of a line with full-width signs in the place of ASCII ones."""
    typed = typed_signs(source)
    different = [at for at, sign in enumerate(source) if sign != typed[at]]
    if not different:
        return None
    pairs = {source[at]: typed[at].strip() or " " for at in different}
    first = source[different[0]]
    return Mistake(
        line,
        different[0] + 1,
        reads_as_text(first, pairs[first]),
        how_to_type(pairs),
        harmless="".join(typed),
    )


def reads_as_text(sign: str, typed: str) -> str:
    """Return the message that YAML takes a sign for text, and not for `typed`."""
    return tr(
        "YAML reads {sign} as text, not as {typed}", sign=sign_shown(sign), typed=sign_shown(typed)
    )


@dataclass(frozen=True, slots=True)
class Doubt:
    """A sign in an unquoted text that may not be meant as text: where it is, from the start."""

    verdict: Verdict
    sign: str
    message: str
    hint: str


def misread(steps: Steps, text: str) -> bool:
    """Return whether an unquoted text stands where only a list or mapping can be meant."""
    if text.isascii() or not first_sign(text):
        return False
    match steps:
        case (key,):
            return key not in _SCALARS
        case ("matrix", _) | ("params", _):
            return True
        case ("prompts", "[]"):
            found = _KEY_OF_PROMPT.match(text)
            return found is not None and found[1] == "prompt"
    return False


def is_misread_key(key: str) -> bool:
    """Return whether a key has full-width signs that cannot be meant: quotes, digits, spaces."""
    return key[0] in WIDE_SPACES or bool(_WRAPPED.fullmatch(key) or _WIDE_NUMBER.fullmatch(key))


def doubts(steps: Steps, text: str, written: str) -> Doubt | None:
    """Return what may be wrong with an unquoted text; `written` is the same as in the file."""
    if text.isascii() or not steps:
        return None
    prose = steps[0] in _PROSE and not (steps[0] == "prompts" and steps[-1] in _PROMPT_SETTINGS)
    hint = tr("put the text in quotes if it is meant as it is")
    if found := _WRAPPED.fullmatch(text):
        sign = text[0]
        typed = how_to_type({sign: ascii_form(sign), text[-1]: ascii_form(text[-1])})
        message = reads_as_text(sign, ascii_form(sign))
        return Doubt("warning" if prose else "error", sign, message, _or(typed, hint))
    if found := _COMMENT.search(text):
        sign = next(one for one in found[0] if not one.isascii())
        message = tr("this # does not start a comment: it belongs to the text")
        typed = tr("type a space and # for a comment")
        return Doubt("warning", sign, message, _or(typed, hint))
    if prose and (found := _DASH_LINE.search(written)):
        message = tr("this line continues the text above; it is no entry of the list")
        return Doubt("warning", found[1], message, _or(how_to_type({found[1]: "-"}), hint))
    if steps == ("prompts", "[]") and (found := _KEY_OF_PROMPT.match(text)):
        return Doubt("warning", "：", reads_as_text("：", ":"), _or(how_to_type({"：": ":"}), hint))
    return None


def _or(typed: str, otherwise: str) -> str:
    return tr("{typed}; {otherwise}", typed=typed, otherwise=otherwise)


def list_doubt(steps: Steps, texts: Sequence[str], count: int) -> Doubt | None:
    """Return what may be wrong with `[剪纸，水墨]`: a list in brackets with one text in it.

    `texts` are the unquoted ones of its `count` values.
    """
    for text in texts:
        found = _SEPARATOR.search(text)
        if found is None or not steps or steps[0] not in ("matrix", "params", "prompts"):
            continue
        sign = found[0]
        if count > 1 and (steps[0] == "prompts" or sign == "、"):
            continue
        certain = count == 1 and steps[0] != "prompts"
        hint = _or(how_to_type({sign: ","}), tr("put the text in quotes if it is one value"))
        return Doubt("error" if certain else "warning", sign, reads_as_text(sign, ","), hint)
    return None
