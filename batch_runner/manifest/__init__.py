"""Manifests: a YAML file in, checked items out; nothing here talks to the service or the journal.

The way of the data, module by module: `text` reads YAML into `nodes` that know their place,
`check` holds them against `model`, `sources` finds the entries (`entries`, `rows`, `matrix`),
`recipe` and `templates` compile what is sent, `items` makes one item after the other, `unique`
compares them. `report` collects what is wrong on the way.
"""

from batch_runner.manifest.json_schema import python_schema
from batch_runner.manifest.load import load
from batch_runner.manifest.manifest import Manifest
from batch_runner.manifest.schema import OnFinish
from batch_runner.manifest.starter import starter

__all__ = ["Manifest", "OnFinish", "load", "python_schema", "starter"]
