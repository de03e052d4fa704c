"""Combinations of the matrix, with `exclude` and `include` as in the matrices of CI services.

`exclude` removes the combinations that have all of its values. `include` comes after it: its new
variables are added to every combination that has its other values; if there is none, it is added as
one more combination.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from batch_runner.manifest.diagnostics import Diagnostics, did_you_mean, excerpt
from batch_runner.manifest.filenames import sent_slug, slug
from batch_runner.manifest.templates.random_values import canonical
from batch_runner.manifest.variables import check_name, check_variable
from batch_runner.manifest.yaml.nodes import Mapping, Sequence, is_broken, plain
from batch_runner.util.locale import tr

#: Largest number of combinations of a matrix; long lists belong in a file.
MAX_COMBINATIONS = 100_000


@dataclass(slots=True)
class Combination:
    """One choice from the matrix: values and ids by variable.

    The ids that a request may contain have no marks (see `sent_slug`).
    """

    values: dict[str, Any]
    ids: dict[str, str]
    label: str  # the ids of the matrix's own variables, in its order
    sent_ids: dict[str, str]
    sent_label: str


@dataclass(slots=True)
class _Variable:
    """One variable of the matrix: its values and their ids."""

    name: str
    values: list[Any] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    sent_ids: list[str] = field(default_factory=list)

    def index_of(self, value: Any) -> int | None:
        """Return the index of the value that equals `value` or has that id; None if none has."""
        for index, known in enumerate(self.values):
            if same(known, value) or value in (self.ids[index], self.sent_ids[index]):
                return index
        return None


def same(left: Any, right: Any) -> bool:
    """Compare as YAML does: 1, 1.0 and true are three different values."""
    return type(left) is type(right) and bool(left == right)


def id_of(value: Any, slug: Callable[[object], str] = slug) -> str:
    """Return the id of a matrix value: the given one, or a slug of the value."""
    if isinstance(value, dict):
        return str(value["id"])
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return slug(text) or hashlib.sha256(text.encode()).hexdigest()[:6]


class Matrix:
    """The validated matrix of one manifest and its combinations."""

    def __init__(self, node: Mapping, label: str, diagnostics: Diagnostics) -> None:
        self._label = label
        self._diagnostics = diagnostics
        self._variables = {
            name: self._variable(name, values)
            for name, values in node.items.items()
            if name not in ("exclude", "include")
            and check_name(name, node.keys[name].location(self._label), diagnostics)
            and isinstance(values, Sequence)
        }
        self.written_names = {*node.items} - {"exclude", "include"}  # also the invalid ones
        self.own_names = tuple(self._variables)
        self.names = list(self._variables)  # with those that `include` adds
        self.combinations: list[Combination] = []
        count = math.prod(len(one.values) for one in self._variables.values())
        if count > MAX_COMBINATIONS:
            message = tr(
                "the matrix has {count} combinations, at most {max_combinations} are allowed",
                count=count,
                max_combinations=MAX_COMBINATIONS,
            )
            diagnostics.add(
                node.location(self._label),
                message,
                hint=tr("put long lists into a file and name it under prompts_from"),
            )
            return
        excluded = [self._exclusion(entry) for entry in _entries(node, "exclude")]
        self._expand([one for one in excluded if one])
        self._product = len(self.combinations)
        for entry in _entries(node, "include"):
            self._include(entry)
        if excluded and count and not self.combinations:
            diagnostics.add(
                node.location(self._label), tr("exclude removes every combination of the matrix")
            )

    def _variable(self, name: str, node: Sequence) -> _Variable:
        variable = _Variable(name)
        for item in node.items:
            if is_broken(item):
                continue
            value = plain(item)
            if value is None or isinstance(value, list) or value in ("", {}):
                continue  # reported by the schema
            if isinstance(value, dict) and "id" not in value:
                continue
            value_id = id_of(value)
            if value_id in variable.ids:
                self._diagnostics.add(
                    item.location(self._label),
                    tr(
                        "{name} has two values with the id {value_id}",
                        name=name,
                        value_id=excerpt(value_id),
                    ),
                    hint=tr("remove one, or give each an id: {id: …, text: …}"),
                )
                continue
            check_variable(name, value, item.location(self._label), self._diagnostics)
            variable.values.append(value)
            variable.ids.append(value_id)
            variable.sent_ids.append(id_of(value, sent_slug))
        return variable

    def _exclusion(self, node: Mapping) -> dict[str, int]:
        """Return the index of the value of each variable; empty if one is unknown."""
        chosen: dict[str, int] = {}
        for name, value in node.items.items():
            variable = self._variables.get(name)
            if variable is None:
                self._diagnostics.add(
                    node.keys[name].location(self._label),
                    tr("exclude names {name}, which is not in the matrix", name=excerpt(name)),
                    hint=did_you_mean(name, self._variables),
                )
                return {}
            index = variable.index_of(plain(value))
            if index is None:
                self._diagnostics.add(
                    value.location(self._label),
                    tr(
                        "{name} has no value {plain} to exclude",
                        name=name,
                        plain=excerpt(plain(value)),
                    ),
                    hint=did_you_mean(
                        str(plain(value)), [*variable.ids, *map(str, variable.values)]
                    ),
                )
                return {}
            chosen[name] = index
        return chosen

    def _expand(self, excluded: list[dict[str, int]]) -> None:
        variables = list(self._variables.values())
        if not variables:
            return
        position = {variable.name: rank for rank, variable in enumerate(variables)}
        exclusions = [[(position[name], index) for name, index in one.items()] for one in excluded]
        for choice in itertools.product(*(range(len(one.values)) for one in variables)):
            if any(all(choice[rank] == index for rank, index in one) for one in exclusions):
                continue
            chosen = list(zip(variables, choice, strict=True))
            self.combinations.append(
                Combination(
                    {one.name: one.values[index] for one, index in chosen},
                    {one.name: one.ids[index] for one, index in chosen},
                    "-".join(one.ids[index] for one, index in chosen),
                    {one.name: one.sent_ids[index] for one, index in chosen},
                    "-".join(one.sent_ids[index] for one, index in chosen),
                )
            )

    def _include(self, node: Mapping) -> None:
        values: dict[str, Any] = {}
        for name, value in node.items.items():
            check_variable(
                name, plain(value), node.keys[name].location(self._label), self._diagnostics
            )
            variable = self._variables.get(name)
            index = variable.index_of(plain(value)) if variable else None
            values[name] = (
                variable.values[index] if variable and index is not None else plain(value)
            )
            if name not in self.names:
                self.names.append(name)
        ids = _ids(values)
        shared = [name for name in values if name in self._variables]
        added = [name for name in values if name not in self._variables]
        agreeing = [
            one
            for one in self.combinations[: self._product]
            if all(one.ids[name] == ids[name] for name in shared)
        ]
        for one in agreeing:
            # Not part of the label: the added values are determined by the others.
            one.values.update({name: values[name] for name in added})
            one.ids.update({name: ids[name] for name in added})
            one.sent_ids.update(_ids({name: values[name] for name in added}, sent_slug))
        if not agreeing:
            self.combinations.append(_combination(values, [*shared, *added]))


def _entries(node: Mapping, key: str) -> list[Mapping]:
    entries = node.items.get(key)
    if not isinstance(entries, Sequence):
        return []
    return [entry for entry in entries.items if isinstance(entry, Mapping) and not entry.broken]


def _combination(values: dict[str, Any], names: list[str]) -> Combination:
    """Return a combination of values; `names` is the order of the ids in its label."""
    ids, sent = _ids(values), _ids(values, sent_slug)
    label, sent_label = ("-".join(one[name] for name in names) for one in (ids, sent))
    return Combination(values, ids, label, sent, sent_label)


def _ids(values: dict[str, Any], slug: Callable[[object], str] = slug) -> dict[str, str]:
    return {
        name: str(value.get("id", "")) or slug(canonical(value))
        if isinstance(value, dict)
        else id_of(value, slug)
        for name, value in values.items()
    }
