"""Build the requests of a description from its templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from jinja2.exceptions import TemplateRuntimeError

from batch_runner.errors import ApiError, Failure
from batch_runner.manifest.templates.compiler import Compiler, RenderFailedError, Scope
from batch_runner.manifest.templates.sandbox import MARKERS
from batch_runner.providers.declarative.expressions import compiled

#: A key of a mapping whose value, a mapping, is laid over the others.
MERGED = "*"

Build = Callable[[Scope], Any]
_VARIABLE = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")


class DescriptionCompiler(Compiler):
    """Compiles the templates of a description; `jmespath` is one more filter."""

    def __init__(self) -> None:
        super().__init__()
        for sandbox in self._sandboxes.values():
            sandbox.filters["jmespath"] = _pick


def _pick(value: Any, expression: Any) -> Any:
    try:
        return compiled(str(expression))(value)
    except ValueError as error:
        raise TemplateRuntimeError(str(error)) from None


class RequestTemplate:
    """The method, path and JSON body of a request, built for each call."""

    def __init__(self, request: str, body: Any, compiler: Compiler) -> None:
        self.method, path = request.split(" ", 1)
        self._address = None
        if address := _VARIABLE.match(path):  # a URL of the service, used as it is given
            self._address, path = address[1], path[address.end() :]
        self._path = path_builder(path, compiler)
        self._body = None if body is None else value_builder(body, compiler)

    def path(self, scope: Scope) -> str:
        """Return the path, with values as URLs need them; a value at its start as it is given.

        Raises:
            ApiError: it cannot be built; nothing was sent.
        """
        path: str = build(self._path, scope)
        if any(part in (".", "..") for part in path.split("?")[0].split("/")):
            raise cannot_build(f"{path!r} leaves its path")
        if self._address is not None:
            return f"{scope[self._address]}{path}"
        return path

    def body(self, scope: Scope) -> dict[str, Any] | None:
        """Return the JSON body, None without one.

        Raises:
            ApiError: it cannot be built; nothing was sent.
        """
        if self._body is None:
            return None
        body = build(self._body, scope)
        if not isinstance(body, dict):
            raise cannot_build("the body is no mapping")
        return body


def path_builder(template: str, compiler: Compiler) -> Callable[[Scope], str]:
    """Return the function that builds a path, with values as URLs need them."""
    parts = _VARIABLE.split(template)  # text, name, text, name … text
    if not any(MARKERS.search(text) for text in parts[::2]):
        return lambda scope: "".join(
            str(quoted(scope[part])) if index % 2 else part for index, part in enumerate(parts)
        )
    render = compiler.compile(template, text=True).render
    return lambda scope: str(render(quoted(scope)))


def value_builder(value: Any, compiler: Compiler) -> Build:
    """Return the function that builds a value of a description, texts in it being templates."""
    if isinstance(value, str):
        if variable := _VARIABLE.fullmatch(value):
            name = variable[1]
            return lambda scope: scope[name]
        return compiler.compile(value).render
    if isinstance(value, Mapping):
        fields = [(str(key), value_builder(part, compiler)) for key, part in value.items()]
        return lambda scope: _mapping(fields, scope)
    if isinstance(value, list | tuple):
        parts = [value_builder(part, compiler) for part in value]
        return lambda scope: [part(scope) for part in parts]
    return lambda _: value


def build(builder: Build, scope: Scope) -> Any:
    """Return what a builder makes of `scope`.

    Raises:
        ApiError: a template has no value; nothing was sent.
    """
    try:
        return builder(scope)
    except RenderFailedError as error:
        raise cannot_build(str(error)) from None


def node_fields(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return params by node and field as a list of {"node", "field", "value"}."""
    return [
        {"node": node, "field": field, "value": value}
        for node, fields in params.items()
        if isinstance(fields, Mapping)
        for field, value in fields.items()
    ]


def quoted(value: Any) -> Any:
    """Return a value with all texts in it as a URL's path and query need them."""
    if isinstance(value, str):
        return quote(value, safe="/")
    if isinstance(value, Mapping):
        return {key: quoted(part) for key, part in value.items()}
    if isinstance(value, list):
        return [quoted(part) for part in value]
    return value


def variables_in(template: str) -> list[str]:
    """Return the names that are whole expressions in a template, such as {{ task_id }}."""
    return _VARIABLE.findall(template)


def templates_in(value: Any) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield each text in a value of a description, with the keys and indexes that lead to it."""
    if isinstance(value, str):
        yield (), value
    parts: Iterable[tuple[int | str, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    for step, part in parts:
        for steps, text in templates_in(part):
            yield (step, *steps), text


def _mapping(fields: list[tuple[str, Build]], scope: Scope) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, part in fields:
        value = part(scope)
        if name == MERGED and isinstance(value, Mapping):
            result.update(value)
        else:
            result[name] = value
    return result


def cannot_build(reason: str) -> ApiError:
    """Return the error of a request that was not sent."""
    return ApiError(f"the request cannot be built: {reason}", failure=Failure.REJECTED)
