"""JSON Schema of the manifest, for editors that validate while the user types."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

from batch_runner.manifest.schema import Document
from batch_runner.settings import Block
from batch_runner.units import Price, Rate


class _Generator(GenerateJsonSchema):
    """Writes defaults as a manifest would; leaves out those that are None, and those of blocks."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        default = schema.get("default")
        if default is None or isinstance(default, Block):  # the settings in a block have their own
            described.pop("default", None)
        return described

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Rate | Price) else super().encode_default(dft)


def python_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) as plain data.

    It accepts everything that `load` accepts. Only `load` finds ambiguous YAML values, errors in
    templates and in other files, and duplicate items.
    """
    schema = Document.model_json_schema(schema_generator=_Generator)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "title": "batch-runner manifest",
    }
