"""Read a manifest and validate everything but its items.

If something is invalid, the items (of a long job, the first ones) are checked as well, so that the
user sees every error at once.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from batch_runner.manifest import filenames
from batch_runner.manifest.diagnostics import Diagnostics, Location, excerpt
from batch_runner.manifest.expand import ExpansionContext, Items
from batch_runner.manifest.fingerprint import fingerprint
from batch_runner.manifest.input_files import Inputs
from batch_runner.manifest.manifest import Manifest
from batch_runner.manifest.provider_checks import ProviderChecks, find_traits
from batch_runner.manifest.schema import Document
from batch_runner.manifest.sources.all import Sources
from batch_runner.manifest.templates.compiler import Compiler, Template
from batch_runner.manifest.templates.request import (
    TODAY,
    LocatedTemplate,
    LocatingCompiler,
    RequestTemplate,
)
from batch_runner.manifest.templates.sandbox import MARKERS, StandIn
from batch_runner.manifest.traits import Providers
from batch_runner.manifest.validate import check
from batch_runner.manifest.variables import check_variable
from batch_runner.manifest.workflow_files import WorkflowFiles
from batch_runner.manifest.yaml.nodes import Mapping, Node, follow
from batch_runner.manifest.yaml.reader import read_document
from batch_runner.models import JobFacts
from batch_runner.settings import Output, Settings
from batch_runner.util.locale import tr
from batch_runner.util.object_store import is_address
from batch_runner.util.paths import Utf8Path, is_utf8, utf8_text

#: How many items are checked for further errors if the manifest has errors already.
CHECKED_AFTER_ERRORS = 10_000

# Used for keys that are missing or invalid (and reported), so that the rest can be checked.
_PLACEHOLDERS: dict[str, Any] = {"workflow": "unknown", "params": {"unknown": {}}}


def load(
    path: Path,
    *,
    providers: Providers = None,
    key_variable: str = "PROVIDER_API_KEY",
) -> Manifest:
    """Return the manifest in the file at `path`, validated except for its items.

    `providers` are those that `provider` may name; None accepts any name, takes it for a hosted
    service with workflows, and does not check its servers. `key_variable` is the environment
    variable of the API key, for hints.

    Raises:
        ManifestError: the manifest is invalid; holds every problem that was found.
    """
    diagnostics = Diagnostics(key_variable=key_variable)
    path = Utf8Path(path)
    read_as = fingerprint(utf8_text(path), [path])
    root = read_document(path, utf8_text(path), diagnostics)
    if root is None:
        diagnostics.raise_if_any()
        raise AssertionError("invalid manifest produced no diagnostics")
    return _Loader(path, root, diagnostics).load(providers, read_as)


class _Loader:
    """Builds one manifest."""

    def __init__(self, path: Path, root: Mapping, diagnostics: Diagnostics) -> None:
        self._path = path
        self._folder = path.absolute().parent
        self._label = utf8_text(path)
        self._root = root
        self._diagnostics = diagnostics
        self._document, self._wrong = check(
            Document, root, self._label, diagnostics, placeholders=_PLACEHOLDERS
        )
        self._sources = Sources(self._document, root, self._folder, self._label, diagnostics)

    def load(self, providers: Providers, read_as: str | None) -> Manifest:
        document, sources = self._document, self._sources
        at = self._location("provider")
        traits = find_traits(document.provider, providers, at, self._diagnostics)
        parts = (self._root, self._folder, self._label, self._diagnostics)
        checks = ProviderChecks(traits, *parts)
        checks.check(document, servers=providers is not None)
        self._check_variables()
        self._check_on_item()
        job = self._job()
        compiler = self._compiler()
        request = self._request(compiler)
        facts = JobFacts(today=time.strftime("%Y-%m-%d"))
        items = self._items(job, request, compiler, facts, checks.files)
        folder = document.output.folder
        objects = folder.rstrip("/") if folder and is_address(folder) else None
        for own in (request, *sources.own_requests()) if checks.files is not None else ():
            checks.check_request(own)
        if self._diagnostics:
            incomplete = compiler.unknown or compiler.refused or self._sources.invalid_variables
            self._check_items(items, allow_duplicates=bool(incomplete))
        self._diagnostics.raise_if_any()
        return Manifest(
            path=self._path,
            job=job,
            provider=document.provider,
            base_urls=(*(document.base_urls or ()), *filter(None, [document.base_url])),
            settings=self._settings(),
            explicit=self._explicit(),
            output_folder=self._folder / (folder if folder and not objects else f"out/{job}"),
            objects=objects,
            on_finish=document.on_finish,
            on_item=document.on_item,
            notify=document.notify,
            workflows=self._workflows(),
            workflow_files=checks.files,
            expansion=items,
            facts=facts,
            read_as=read_as,
            data=self._data(checks.files),
            doubts=tuple(self._diagnostics.warnings()),
        )

    def _settings(self) -> Settings:
        blocks = {block: getattr(self._document, block) for block in Settings.model_fields}
        written = self._document.output
        output = Output(**{name: getattr(written, name) for name in Output.model_fields})
        return Settings(**blocks | {"output": output})

    def _compiler(self) -> LocatingCompiler:
        matrix, files = self._sources.matrix, self._sources.files
        return LocatingCompiler(
            Compiler(
                frozenset([*(matrix.names if matrix else ()), *(files.names[:1] if files else ())])
            ),
            self._sources.variables(),
            self._label,
            self._diagnostics,
        )

    def _request(self, compiler: LocatingCompiler) -> RequestTemplate:
        document = self._document
        workflow = compiler.compile(document.workflow or "", self._location("workflow"))
        written = self._root.items.get("params", Mapping(1, 1))
        params, uses = compiler.compile_tree(written)
        return RequestTemplate(
            workflow=workflow,
            written=written,
            params=params,
            uses=uses | workflow.template.uses,
            name=compiler.compile(
                document.output.name, self._location("output", "name"), name=True
            ),
            attempts=document.attempts,
            repeat=document.repeat,
        )

    def _items(
        self,
        job: str,
        request: RequestTemplate,
        compiler: LocatingCompiler,
        facts: JobFacts,
        workflow_files: WorkflowFiles | None,
    ) -> Items:
        document, sources = self._document, self._sources
        files = {
            name: compiler.compile(path, self._location("files", name))
            for name, path in document.files.items()
        }
        if own := sources.files:
            # Its value is the path of one file; not compiled, because that would count as its use.
            path = Template(lambda scope: scope[own.variable], frozenset([own.variable]))
            files = {own.variable: LocatedTemplate(path, own.location), **files}
        defaults = dict(document.defaults)
        default = defaults.pop("prompt", None)
        default_prompt = None
        if default is not None:
            location = self._location("defaults", "prompt")
            default_prompt = compiler.compile(str(default), location)
        sources.read_prompts(request, compiler, self._diagnostics)
        self._check_used(compiler)
        # Unknown variables were reported; with a value for them, the items can still be checked.
        unknown = compiler.unknown | sources.invalid_variables
        stand_ins = dict.fromkeys(unknown, StandIn("unknown"))
        context = ExpansionContext(
            provider=document.provider,
            request=request,
            base={**stand_ins, **defaults, "job": job},
            default_prompt=default_prompt,
            files=files,
            combinations=sources.combinations,
            gives_today=TODAY not in (sources.variables() or ()),
            uses_random=bool(compiler.used & {"seed", "pick"}),
            skip_duplicates=document.on_duplicate == "skip",
            workflow_files=workflow_files,
        )
        return Items(context, sources.entries, Inputs(self._folder), facts)

    def _job(self) -> str:
        """Return the job's name: the given one, or the name of the file."""
        if self._document.job is not None:
            return self._document.job
        stem = self._path.name.removesuffix(".yaml").removesuffix(".yml")
        reason = filenames.refusal(stem) if is_utf8(stem) else tr("it is not UTF-8")
        if reason and "job" not in self._wrong:
            name = excerpt(utf8_text(stem))
            message = tr(
                "the job cannot be named {stem} like this file: {reason}",
                stem=name,
                reason=reason,
            )
            hint = tr("add a line job: with another name")
            if not is_utf8(stem):
                hint = tr("add a line job: with a name such as {name}", name=name)
            self._diagnostics.add(Location(self._label), message, hint=hint)
        return "job" if reason else stem

    def _check_variables(self) -> None:
        """Check the variables under `defaults` and `files`, and report names used twice."""
        document = self._document
        for name, value in document.defaults.items():
            location = self._location("defaults", name)
            check_variable(name, None if name == "prompt" else value, location, self._diagnostics)
        for name in document.files:
            check_variable(name, None, self._location("files", name), self._diagnostics)
            if name in document.defaults:
                message = tr(
                    "{name} is both a file and a variable under defaults", name=excerpt(name)
                )
                self._diagnostics.add(
                    self._location("files", name), message, hint=tr("rename one of them")
                )
        self._sources.check_names(self._diagnostics)

    def _check_on_item(self) -> None:
        given = "on_item" in self._root.items and not self._wrong & {"on_item", "command"}
        if given and self._document.on_item.command is None:
            message = tr("the key {missing} is missing", missing="on_item.command")
            self._diagnostics.add(self._location("on_item"), message)

    def _check_used(self, compiler: LocatingCompiler) -> None:
        """Report files, prompts and matrix variables that no template uses."""
        used, document, sources = compiler.used, self._document, self._sources
        files = {name: self._location("files", name) for name in document.files}
        if sources.files:
            files[sources.files.variable] = sources.files.location
        for name, location in files.items():
            if name not in used:
                message = tr(
                    "no template uses the file {name}, so it would not be sent", name=excerpt(name)
                )
                hint = tr('write "{{{{ {name} }}}}" in params where the file belongs', name=name)
                self._diagnostics.add(location, message, hint=hint)
        if "params" in self._wrong or used & {"seed", "pick"}:
            return
        if sources.has_prompts() and "prompt" not in used:
            self._diagnostics.add(
                self._location("params"),
                tr("no template uses the prompts, so they would not be sent"),
                hint=tr('write "{{ prompt }}" in params where the text belongs'),
            )
        for name in sources.matrix.own_names if sources.matrix else ():
            if name not in used:
                self._diagnostics.add(
                    self._location("matrix", name),
                    tr(
                        "no template uses the matrix variable {name}, so every one of its "
                        "values would send the same",
                        name=excerpt(name),
                    ),
                    hint=tr('write "{{{{ {name} }}}}" in params or in a prompt', name=name),
                )

    def _check_items(self, items: Items, *, allow_duplicates: bool) -> None:
        """Check items for further errors; `allow_duplicates`: two may send the same request."""
        allow_duplicates = allow_duplicates or bool(self._wrong & {"params", "workflow"})
        for _ in items.checked(
            self._diagnostics, limit=CHECKED_AFTER_ERRORS, requests=not allow_duplicates
        ):
            if self._diagnostics.full:
                return

    def _named_workflows(self) -> list[str]:
        """Return the workflows as written: ids, or templates."""
        own = (own.value for own in self._sources.own_workflows())
        return [*filter(None, [self._document.workflow]), *own]

    def _workflows(self) -> frozenset[str]:
        return frozenset(name for name in self._named_workflows() if not MARKERS.search(name))

    def _data(self, files: WorkflowFiles | None) -> tuple[Path, ...] | None:
        """Return the files other than the manifest that decide the items; None if items do."""
        data = self._sources.data
        if files is None or data is None:
            return data
        varies = any(map(MARKERS.search, self._named_workflows()))
        return None if varies else (*data, *files.paths)

    def _explicit(self) -> dict[str, str]:
        """Return "file:line" of every setting that the manifest gives, by dotted name."""
        given: dict[str, str] = {}
        for block in (*Settings.model_fields, "on_finish", "on_item", "notify"):
            node = self._root.items.get(block)
            for name, key in node.keys.items() if isinstance(node, Mapping) else ():
                given[f"{block}.{name}"] = f"{self._label}:{key.line}"
        for name in ("job", "provider", "attempts", "repeat", "reuse", "keep_awake"):
            if name in self._root.keys:
                given[name] = f"{self._label}:{self._root.keys[name].line}"
        return given

    def _location(self, *steps: str) -> Location:
        node: Node = follow(self._root, steps)
        return node.location(self._label)
