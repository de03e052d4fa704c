"""Expand entries to items one at a time: variables, request, key, id and file name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from batch_runner.manifest import filenames
from batch_runner.manifest.comfyui.reading import WorkflowRefusedError
from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.duplicates import (
    DuplicateDetector,
    Duplicates,
    SkippedDuplicates,
)
from batch_runner.manifest.input_files import InputRefusedError, Inputs
from batch_runner.manifest.item_ids import digest_of, early_id, id_of_item, shown_variables
from batch_runner.manifest.schema_types import is_blank
from batch_runner.manifest.sources.matrix import Combination
from batch_runner.manifest.sources.prompts import Entry
from batch_runner.manifest.templates.compiler import IDS, RenderFailedError, Scope
from batch_runner.manifest.templates.params import fill, longest_text
from batch_runner.manifest.templates.random_values import ItemRandom, canonical
from batch_runner.manifest.templates.request import (
    TODAY,
    LocatedTemplate,
    RequestTemplate,
    today_hint,
)
from batch_runner.manifest.workflow_files import WorkflowFiles
from batch_runner.models import UPLOAD_MARK, InputFile, ItemSpec, JobFacts
from batch_runner.util.locale import tr
from batch_runner.util.paths import utf8_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionContext:
    """What all items of a job have in common."""

    provider: str
    request: RequestTemplate
    base: Scope  # default variables, except the prompt
    default_prompt: LocatedTemplate | None
    files: dict[str, LocatedTemplate]
    combinations: Callable[[], Iterable[Combination]]
    gives_today: bool  # whether the names of files can use `today`: it is no variable of theirs
    uses_random: bool  # whether any template calls seed() or pick()
    skip_duplicates: bool  # leave out what would send the same as an earlier item
    workflow_files: WorkflowFiles | None = None  # None: workflows are ids at the service


class Group(NamedTuple):
    """Items that differ only in their repeat number."""

    entry: Entry
    request: RequestTemplate
    combination: Combination


class Redone(NamedTuple):
    """A further repeat of the item with the key `of`; `first` is the key of the first repeat."""

    of: str
    first: str
    n: int
    spec: ItemSpec


class _ItemFailedError(Exception):
    """This item is invalid: what is wrong, where, and a hint."""

    def __init__(self, message: str, location: Location, hint: str | None = None) -> None:
        super().__init__(message)
        self.location = location
        self.hint = hint


class Items:
    """Expands entries and combinations to items."""

    def __init__(
        self,
        context: ExpansionContext,
        entries: Callable[[Diagnostics], Iterator[Entry]],
        inputs: Inputs,
        facts: JobFacts,
    ) -> None:
        self._context = context
        self._facts = facts
        self._entries = entries
        self._inputs = inputs
        self._uses_random = context.uses_random
        #: None: unknown, because not all items were expanded.
        self.duplicates: Duplicates | None = None
        self._files_use_id = any("id" in one.template.uses for one in context.files.values())

    def of_job(self, facts: JobFacts) -> Items:
        """Return the items in a job of these facts."""
        return Items(self._context, self._entries, self._inputs, facts)

    def checked(
        self, diagnostics: Diagnostics, *, limit: int | None = None, requests: bool = True
    ) -> Iterator[ItemSpec]:
        """Yield the valid items; after the last one, report duplicates.

        `limit` is the number of items to check; None means all. Without `requests`, two items may
        send the same request.
        """
        duplicates = DuplicateDetector(requests=requests)
        skipped: list[tuple[Location, str]] = []
        for _, spec, key in self._located(diagnostics, limit, skipped):
            duplicates.add(spec, key)
            yield spec
        again = ((location, spec) for location, spec, _ in self._located(Diagnostics(), limit))
        duplicates.report_repeated(again, diagnostics)
        again_with_keys = self._located(Diagnostics(), limit)
        self.duplicates = Duplicates(
            SkippedDuplicates(len(skipped), *skipped[0]) if skipped else None,
            duplicates.find_equal_requests(again_with_keys),
        )

    def _located(
        self,
        diagnostics: Diagnostics,
        limit: int | None,
        skipped: list[tuple[Location, str]] | None = None,
    ) -> Iterator[tuple[Location, ItemSpec, str]]:
        """Yield each item with its location and the key of its request.

        They come in the order of entries, combinations and repeats. Location and id of duplicates
        that are left out are added to `skipped`.
        """
        position = 0
        seen: set[bytes] = set()
        for group in self._groups(diagnostics):
            further: list[int] = []  # known when the first repeat is
            for n in chain(range(1, group.request.repeat + 1), further):
                if position == limit:
                    return
                try:
                    item = self._item(group, n, position)
                except (RenderFailedError, _ItemFailedError) as error:
                    self._report_failed(error, group, diagnostics)
                    position += 1
                    continue
                position += 1
                if n == 1:
                    further += self._redone(item[1], group)
                if self._context.skip_duplicates:
                    key = bytes.fromhex(item[0].key)
                    if key in seen:
                        if skipped is not None:
                            skipped.append((group.entry.location, item[0].id))
                        continue
                    seen.add(key)
                yield group.entry.location, *item

    def _groups(self, diagnostics: Diagnostics) -> Iterator[Group]:
        for entry in self._entries(diagnostics):
            request = entry.request or self._context.request
            for combination in self._context.combinations():
                yield Group(entry, request, combination)

    def _redone(self, first: str, group: Group) -> list[int]:
        """Return the repeats that the user asked for beyond those of the manifest."""
        return [n for n in self._facts.redone.get(first, ()) if n > group.request.repeat]

    def redo(self, keys: Collection[str], is_taken: Callable[[ItemSpec], bool]) -> Iterator[Redone]:
        """Yield a next repeat of each of the items with these keys; those not listed are left out.

        Repeats that are taken are passed over.

        Raises:
            ManifestError: a repeat is invalid.
        """
        diagnostics = Diagnostics()
        seen: set[str] = set()
        for group in self._groups(Diagnostics()):
            try:
                first = self._item(group, 1, 0)[1]
                if self._context.skip_duplicates:
                    if first in seen:
                        continue
                    seen.add(first)
                numbers = [*range(1, group.request.repeat + 1), *self._redone(first, group)]
                known = [self._item(group, n, 0)[0].key for n in numbers]
                last = numbers[-1]
                for key in filter(keys.__contains__, known):
                    last += 1
                    while is_taken(spec := self._item(group, last, 0)[0]):
                        last += 1
                    yield Redone(key, first, last, spec)
            except (RenderFailedError, _ItemFailedError) as error:
                self._report_failed(error, group, diagnostics)
        diagnostics.raise_if_any()

    def _report_failed(
        self,
        error: RenderFailedError | _ItemFailedError,
        group: Group,
        diagnostics: Diagnostics,
    ) -> None:
        entry, _, combination = group
        location, hint = entry.location, error.hint
        if isinstance(error, _ItemFailedError):
            location = error.location
        elif error.missing == TODAY and self._context.gives_today:
            hint = today_hint()
        elif error.missing and hint is None:
            hint = tr(
                "give this item its own {missing}, or all of them one under defaults",
                missing=error.missing,
            )
        item = "-".join(part for part in (entry.id, combination.label) if part)
        diagnostics.add(location, str(error), item=item or None, hint=hint)

    def _item(self, group: Group, n: int, position: int) -> tuple[ItemSpec, str]:
        """Return an item, and the key of its request: that of the first repeat."""
        entry, request, combination = group
        scope, files = self._scope(entry, request, combination, n)
        workflow = request.workflow.template.render(scope)
        params = fill(request.params, scope)
        prompt = _prompt(scope, params, files, entry)
        identified = workflow
        if (files_of := self._context.workflow_files) is not None:
            identified = _digest(files_of, workflow, params, entry, request)
        content = _content([self._context.provider, identified, params], entry)
        # The first repeat has the same key as an item without `repeat`, so that raising `repeat`
        # later pays only for the new items.
        plain_key = digest_of(content)
        key = plain_key if n == 1 else digest_of(f"{content}#{n}")
        if "id" not in scope:
            scope["id"] = id_of_item(entry, combination.label, scope, plain_key, filenames.slug)
        scope[IDS] = combination.ids
        item_id, name = scope["id"], self._name(scope, entry, request)
        if max(n, request.repeat) > 1:
            item_id = f"{item_id}-{n}"
            name = name if "n" in request.name.template.uses else f"{name}-{n}"
        if reason := filenames.path_refusal(name):
            raise _ItemFailedError(*_bad_name(name, reason, entry, request))
        item = ItemSpec(
            key=key,
            position=position,
            id=item_id,
            name=name,
            prompt=prompt,
            workflow=workflow,
            params=params,
            variables=shown_variables(entry, combination, n if request.repeat > 1 else None),
            files=files,
            attempts=request.attempts,
            source=f"{entry.location.path}:{entry.location.line}",
        )
        return item, plain_key

    def _name(self, scope: Scope, entry: Entry, request: RequestTemplate) -> str:
        """Return the name of the file without its extension, with slashes between folders."""
        if self._context.gives_today:
            scope = {TODAY: self._facts.today, **scope}
        name = request.name.template.render(scope)
        if "/" in name:
            reason = tr("it contains a slash from a value; only those of the template make folders")
            shown = name.replace(filenames.FOLDER_MARK, "/")
            raise _ItemFailedError(*_bad_name(shown, reason, entry, request))
        return filenames.without_ending(name.replace(filenames.FOLDER_MARK, "/"))

    def _scope(
        self, entry: Entry, request: RequestTemplate, combination: Combination, n: int
    ) -> tuple[Scope, tuple[InputFile, ...]]:
        """Return the variables of this item's templates, and its input files."""
        context = self._context
        scope: Scope = {**context.base, **entry.variables, **combination.values}
        scope["n"] = n
        scope[IDS] = combination.sent_ids
        if self._uses_random:
            draw = ItemRandom([entry.id, entry.variables, combination.values, n])
            scope["seed"], scope["pick"] = draw.seed, draw.pick
        template = entry.prompt
        if template is None and "prompt" not in scope:
            template = context.default_prompt
        uses = request.uses | template.template.uses if template else request.uses
        if "id" in uses or self._files_use_id:
            scope["id"] = early_id(entry, combination, scope)
        files: list[InputFile] = []
        for name, path in context.files.items():
            if name in uses:
                files.append(self._input(path, scope))
                scope[name] = UPLOAD_MARK + files[-1].sha256
        if template:
            scope["prompt"] = template.template.render(scope)
        return scope, tuple(files)

    def _input(self, path: LocatedTemplate, scope: Scope) -> InputFile:
        try:
            return self._inputs.get(path.template.render(scope))
        except InputRefusedError as error:
            relative = tr("paths are relative to the folder of {path}", path=path.location.path)
            hint = error.hint or relative
            raise _ItemFailedError(str(error), path.location, hint) from None


def _digest(
    files: WorkflowFiles, workflow: str, params: Any, entry: Entry, request: RequestTemplate
) -> str:
    """Return the hash that stands for a workflow file; params are checked against the file."""
    try:
        return files.digest(workflow, params, request)
    except WorkflowRefusedError as error:
        raise _ItemFailedError(str(error), error.location or entry.location, error.hint) from None


def _content(request: list[Any], entry: Entry) -> str:
    """Return the request as canonical JSON; its hash is the item's key."""
    try:
        return canonical(request)
    except (TypeError, ValueError, RecursionError):
        message = tr("params contain a value that JSON cannot hold, such as infinity")
        raise _ItemFailedError(message, entry.location) from None


def _prompt(scope: Scope, params: Any, files: tuple[InputFile, ...], entry: Entry) -> str:
    """Return the prompt; if there is none, the longest text in params, or the names of files."""
    prompt = scope.get("prompt")
    if not isinstance(prompt, str):
        prompt = longest_text(params)
        if is_blank(prompt):
            prompt = ", ".join(utf8_text(one.path.name) for one in files)
    if is_blank(prompt):
        raise _ItemFailedError(tr("the prompt is empty"), entry.location)
    return prompt


def _bad_name(
    name: str, reason: str, entry: Entry, request: RequestTemplate
) -> tuple[str, Location, str | None]:
    message = tr("the file cannot be named {name}: {reason}", name=excerpt(name), reason=reason)
    if "{{" in request.name.template.source and entry.id is None:
        hint = tr("give the item an id, or use {{ value | slug }} in output.name")
        return message, entry.location, hint
    return message, entry.location, tr("use letters, digits, - and _")
