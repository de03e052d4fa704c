"""Manifests: read a YAML file and yield validated items, without service or journal.

In the order of the data: `yaml` reads text into nodes with locations, `validate` checks them
against `schema`, `sources` yields the entries (prompts, rows) and the combinations of the matrix,
`templates` compiles what is sent, `expand` makes the items one by one, `duplicates` compares them.
`diagnostics` collects the problems. `provider_checks` checks what differs between providers, and
`comfyui` knows their workflow files.
"""

from batch_runner.manifest.json_schema import python_schema
from batch_runner.manifest.load import load
from batch_runner.manifest.manifest import Manifest
from batch_runner.manifest.schema import OnFinish, OnItem

__all__ = ["Manifest", "OnFinish", "OnItem", "load", "python_schema"]
