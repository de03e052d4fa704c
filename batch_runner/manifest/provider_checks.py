"""Check what differs between providers: servers, workflows (ids or files), the shape of params."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Names
from pathlib import Path

from batch_runner.errors import UsageError
from batch_runner.manifest.comfyui.reading import WorkflowRefusedError
from batch_runner.manifest.diagnostics import Diagnostics, Location, did_you_mean, excerpt
from batch_runner.manifest.input_files import find_input
from batch_runner.manifest.schema import Document
from batch_runner.manifest.schema_types import kind
from batch_runner.manifest.templates.request import RequestTemplate
from batch_runner.manifest.templates.sandbox import MARKERS
from batch_runner.manifest.traits import Providers, ProviderTraits, UsualTraits
from batch_runner.manifest.validate import add_missing
from batch_runner.manifest.workflow_files import WorkflowFiles
from batch_runner.manifest.yaml.nodes import (
    Mapping,
    Node,
    Scalar,
    Sequence,
    follow,
    is_broken,
    key_of,
    plain,
)
from batch_runner.util.locale import tr


def find_traits(
    name: str, providers: Providers, location: Location, diagnostics: Diagnostics
) -> ProviderTraits | None:
    """Return the traits of the provider `name`; None if it is unknown or unusable: reported."""
    if providers is None:
        return UsualTraits()
    if name not in providers:
        known = tr("known: {names}", names=", ".join(providers))
        diagnostics.add(
            location,
            tr("there is no provider {provider}", provider=excerpt(name)),
            hint=did_you_mean(name, providers, otherwise=known),
        )
        return None
    if not isinstance(providers, Names):
        return UsualTraits()
    try:
        traits: ProviderTraits = providers[name]
    except UsageError as error:  # the user's own description
        diagnostics.add(location, str(error))
        return None
    return traits


class ProviderChecks:
    """The checks of one manifest against the traits of its provider; None: those are unknown."""

    def __init__(
        self,
        traits: ProviderTraits | None,
        root: Mapping,
        folder: Path,
        label: str,
        diagnostics: Diagnostics,
    ) -> None:
        self._traits = traits or UsualTraits()
        self._is_known = traits is not None
        self._root = root
        self._folder = folder
        self._label = label
        self._diagnostics = diagnostics
        self.files = WorkflowFiles(folder, label) if self._traits.own_server else None

    def check(self, document: Document, *, servers: bool) -> None:
        """Check workflow and the shape of params, also those of prompts, and with it `servers`."""
        for prompt in self._prompts():
            self._check_misspelt(prompt, document.workflow or "")
        if not self._is_known:
            return
        if servers:
            self._check_servers()
        if self._traits.needs_workflow and "workflow" not in self._root.keys:
            example = "workflow: cards_workflow.json" if self._traits.own_server else None
            add_missing(
                "workflow", Document, self._root, self._label, self._diagnostics, example=example
            )
        for owner in (self._root, *self._prompts()):
            self._check_workflow(owner, document)
            if self._traits.params_shape == "nodes":
                self._check_nodes(owner)

    def check_request(self, request: RequestTemplate) -> None:
        """Check params against the workflow file that they are laid over, unless it varies."""
        source = request.workflow.template.source
        if self.files is None or MARKERS.search(source):
            return
        for fault in self.files.faults(source, request.params):
            at = (key_of if fault.at_key else follow)(request.written, fault.steps)
            self._diagnostics.add(at.location(self._label), fault.message, hint=fault.hint)

    def _check_servers(self) -> None:
        keys = self._root.keys
        given = [name for name in ("base_url", "base_urls") if name in keys]
        if not self._traits.own_server:
            for name in given:
                self._diagnostics.add(
                    keys[name].location(self._label),
                    tr("{key} is for a server of your own, and this provider is none", key=name),
                    hint=tr("is a line provider: comfyui missing?"),
                )
        elif len(given) > 1:
            message = tr("base_url and base_urls are both here")
            hint = tr("write all servers under base_urls")
            self._diagnostics.add(keys["base_url"].location(self._label), message, hint=hint)

    def _check_workflow(self, owner: Mapping, document: Document) -> None:
        node = owner.items.get("workflow")
        if not (isinstance(node, Scalar) and isinstance(node.value, str)):
            return
        location, name = node.location(self._label), node.value
        if MARKERS.search(name):
            return
        if self.files is not None:
            try:
                self.files.get_file(name)
            except WorkflowRefusedError as error:
                self._diagnostics.add(error.location or location, str(error), hint=error.hint)
        elif not self._traits.needs_workflow:
            message = tr(
                "the provider {provider} has no workflows", provider=excerpt(document.provider)
            )
            self._diagnostics.add(location, message, hint=tr("remove the key"))
        elif name.endswith(".json") and find_input(self._folder, name).is_file():
            message = tr(
                "{name} is a file here, but for the provider {provider} a workflow is an id",
                name=excerpt(name),
                provider=excerpt(document.provider),
            )
            hint = tr("to run it on your own ComfyUI, add a line provider: comfyui")
            self._diagnostics.add(location, message, hint=hint)

    def _check_misspelt(self, prompt: Mapping, job: str) -> None:
        """Report a prompt's own workflow that looks like a misspelling of the job's."""
        node = prompt.items.get("workflow")
        own = node.value if isinstance(node, Scalar) else None
        if node is not None and isinstance(own, str) and own != job and _is_misspelt(own, job):
            message = tr(
                "the workflow {value} looks like a misspelling of the job's", value=excerpt(own)
            )
            hint = tr("did you mean {job}?", job=job)
            self._diagnostics.add(node.location(self._label), message, hint=hint)

    def _check_nodes(self, owner: Mapping) -> None:
        params = owner.items.get("params")
        for node_id, fields in params.items.items() if isinstance(params, Mapping) else ():
            if isinstance(fields, Mapping) or is_broken(fields):
                continue
            seen = plain(fields)
            shown = excerpt(seen) if isinstance(seen, str | int | float) else tr(kind(seen))
            subject = f"{excerpt(f'params.{node_id}')}: "
            message = tr(
                "{subject}wanted {wanted}, this is {seen}",
                subject=subject,
                wanted=tr("a mapping"),
                seen=shown if shown.strip() and seen != [] else tr("empty"),
            )
            self._diagnostics.add(fields.location(self._label), message)

    def _prompts(self) -> Iterator[Mapping]:
        prompts: Node | None = self._root.items.get("prompts")
        for prompt in prompts.items if isinstance(prompts, Sequence) else ():
            if isinstance(prompt, Mapping):
                yield prompt


def _is_misspelt(name: str, meant: str) -> bool:
    """Return whether two names differ by one swapped, doubled or missing letter in a long word.

    Digits and short words do not count: card_v1 and card_v2 are two workflows.
    """
    words, wanted = name.split("_"), meant.split("_")
    if len(words) != len(wanted):
        return False
    different = [pair for pair in zip(words, wanted, strict=True) if pair[0] != pair[1]]
    if len(different) != 1:
        return False
    one, other = different[0]
    if min(len(one), len(other)) < 4 or not (one + other).isalpha():
        return False
    if len(one) == len(other):
        return sorted(one) == sorted(other)
    longer, shorter = sorted(different[0], key=len, reverse=True)
    return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
