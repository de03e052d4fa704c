"""What may stand in a manifest: models that check it and that describe it to editors.

The list of prompts is described here and checked elsewhere (`entries`): there may be a hundred
thousand of them, and each keeps its place.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from batch_runner.manifest.schema_types import (
    NAME_PATTERN,
    Attempts,
    DataFile,
    FileVariables,
    Folder,
    Given,
    Id,
    JobName,
    Params,
    Prose,
    Repeat,
    Text,
    Values,
    Variables,
)
from batch_runner.settings import Block, Downloads, Limits, Polling, Retries, Timeouts, Uploads

#: The keys that make items; one of them must be there.
SOURCES = ("prompts", "matrix", "items_from")

# A key that is left out has no value, and one that is there must have one: only the latter is
# looked at.
_GIVEN_ONLY = ConfigDict(validate_default=False)


class Output(Block):
    """Where the finished files go, and what they are called."""

    model_config = _GIVEN_ONLY

    folder: Given[Folder] = Field(
        default=None, description="Relative to this manifest; default out/<job>."
    )
    name: Text = Field(
        default="{{ id }}",
        description="Template of the file's name, without its ending (one is dropped).",
    )


class OnFinish(Block):
    """Whom to tell at the end of a run."""

    model_config = _GIVEN_ONLY

    notify: list[Text] = Field(
        default=[], description="Addresses for apprise: mailto://…, slack://…"
    )
    command: Given[Text] = Field(
        default=None, description="A command to run, relative to this manifest."
    )
    when: Literal["always", "trouble"] = Field(
        default="always", description="Always, or only when not every item is done."
    )


class Prompt(BaseModel):
    """One entry of `prompts`: its text, its own variables, and what it wants otherwise."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}},
    )

    prompt: Prose = Field(description="The text; may be a template.")
    id: Given[Id] = Field(default=None, description="Its name in files, report and commands.")
    workflow: Given[Text] = Field(default=None, description="Instead of the job's.")
    params: Given[Params] = Field(
        default=None, description="Laid over the job's, field by field; alone with a workflow."
    )
    name: Given[Text] = Field(default=None, description="Instead of output.name.")
    attempts: Given[Attempts] = Field(default=None, description="Instead of the job's.")
    repeat: Given[Repeat] = Field(default=None, description="Instead of the job's.")


Entries = Annotated[list[Prose | Prompt], Field(min_length=1)]


class Matrix(BaseModel):
    """Every combination of the values of every variable."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}},
    )
    __pydantic_extra__: dict[str, Values] = Field(init=False)

    exclude: list[Variables] = Field(
        default=[], description="Combinations that agree with one of these are left out."
    )
    include: list[Variables] = Field(
        default=[],
        description="Adds variables to the combinations that agree, or one more combination.",
    )


class Document(Block):
    """A manifest of batch-runner: what is to be made, how fast, and where it goes."""

    model_config = ConfigDict(
        **_GIVEN_ONLY,
        json_schema_extra={"anyOf": [{"required": [source]} for source in SOURCES]},
    )

    job: Given[JobName] = Field(default=None, description="Default: the name of this file.")
    provider: Text = Field(default="baicai", description="The service that makes the pictures.")
    workflow: Text = Field(description="The service's id of the workflow; may be a template.")
    params: Params = Field(
        description="Node, field and value as the workflow wants them; texts may be templates."
    )
    prompts: Given[SkipValidation[Entries]] = Field(
        default=None, description="One text, or one mapping, for each item."
    )
    matrix: Given[Matrix] = None
    repeat: Repeat = Field(default=1, description="Tries of each item, told apart by {{ n }}.")
    items_from: Given[DataFile] = Field(
        default=None, description="CSV or JSONL file, relative to this manifest; a row an item."
    )
    defaults: Variables = Field(
        default={},
        description="Variables for items without them, and for empty cells of a CSV.",
    )
    files: FileVariables = Field(
        default={}, description="Input files by variable: templates of paths, uploaded when used."
    )
    attempts: Attempts = Field(
        default=1, description="Creates of an item, counting those after the service's FAILED."
    )
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    polling: Polling = Polling()
    retries: Retries = Retries()
    uploads: Uploads = Uploads()
    downloads: Downloads = Downloads()
    output: Output = Output()
    on_finish: OnFinish = OnFinish()


#: The blocks that are settings, by name.
SETTINGS_BLOCKS = ("limits", "timeouts", "polling", "retries", "uploads", "downloads")
