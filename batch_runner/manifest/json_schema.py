"""The manifest's language as JSON Schema, for editors that check while one writes."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

from batch_runner.manifest.schema import Document
from batch_runner.units import Price, Rate


class _Generator(GenerateJsonSchema):
    """Shows defaults as one would write them, and none where the default is to have none."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        if described.get("default", ...) is None:
            del described["default"]
        return described

    def encode_default(self, dft: Any) -> Any:
        return str(dft) if isinstance(dft, Rate | Price) else super().encode_default(dft)


def python_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) as plain data.

    It refuses nothing that `load` accepts. What only the text of the file shows (a value that YAML
    bends), what needs the template language or other files, and what only two items together get
    wrong, `load` alone can tell.
    """
    schema = Document.model_json_schema(schema_generator=_Generator)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "title": "batch-runner manifest",
    }
