"""Errors of jinja2 and Python about a template, in plain words."""

from __future__ import annotations

import re

from batch_runner.util.locale import mark_tr, tr

#: What Python says about values → what we say.
_VALUES = (
    (r"division.* by zero|modulo by zero", mark_tr("a number is divided by zero")),
    (
        r"concatenate|operand|between instances|must be str|not all arguments",
        mark_tr("the values do not go together, such as text and a number"),
    ),
    (
        r"positional argument|keyword argument|takes .* argument|argument\(s\)",
        mark_tr("a filter or function has too many or too few values in its parentheses"),
    ),
    (r"convert string|invalid literal", mark_tr("a text is not a number")),
    (r"as an integer|arg 3 must not be zero", mark_tr("a whole number is wanted")),
    (r"not iterable|not a sequence", mark_tr("a list is wanted")),
    (r"recursion", mark_tr("the values are nested too deep")),
)
#: What jinja2 says about the text of a template → what we say.
_SYNTAX = (
    (r"unexpected end of template", mark_tr("it is not closed with }} or %}")),
    (r"Unexpected end of template.*", mark_tr("an if or for has no endif or endfor")),
    (r"Encountered unknown tag '(end\w+)'", mark_tr("there is {word} without its beginning")),
    (r"Encountered unknown tag '(\w+)'", mark_tr("there is no {word} in templates")),
    (r"Missing end of (\w+)", mark_tr("it is not closed with }} or %}")),
    (r"got '(end of [\w ]+)'", mark_tr("something is missing before its end")),
    (r"got '(.+)'$", mark_tr("{word} is not expected here")),
    (r"unexpected '(.+)'", mark_tr("{word} is not expected here")),
    (r"unexpected char '(.+)'", mark_tr("{word} is not expected here")),
)


def value_error_text(error: Exception) -> str:
    """Return why a template cannot be computed."""
    words = str(error)
    known = (text for pattern, text in _VALUES if re.search(pattern, words))
    return tr(next(known, mark_tr("a value does not fit here")))


def syntax_error_text(words: str) -> str:
    """Return why a text is no template."""
    for pattern, text in _SYNTAX:
        if found := re.search(pattern, words):
            return tr(text, word=found[1]) if "{word}" in text else tr(text)
    return words
