"""Pydantic models of a manifest, for validation and for the JSON Schema.

The list of prompts is described here and validated in `sources.prompts`: there may be a hundred
thousand of them, and each keeps its location.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from batch_runner import settings
from batch_runner.manifest.schema_types import (
    NAME_PATTERN,
    USUAL_SERVICE,
    Attempts,
    DataFile,
    Encoding,
    FilePatterns,
    FileVariables,
    Folder,
    Given,
    Id,
    JobName,
    Params,
    Prose,
    Repeat,
    ServerUrl,
    ServerUrls,
    Text,
    Values,
    Variables,
    WebAddress,
)
from batch_runner.setting_types import Duration, KeepAwakeField, Reuse, ReuseField
from batch_runner.settings import (
    Block,
    Downloads,
    Limits,
    Network,
    Polling,
    Retries,
    Timeouts,
    Uploads,
)

#: The statuses of an item in which `on_item` can run a command.
ItemEnd = Literal["done", "failed", "rejected", "held"]
#: The sources of items; at least one is required.
SOURCES = ("prompts", "prompts_from", "files_from", "matrix", "items_from")

# Validate given keys only; a key without a value is an error.
_GIVEN_ONLY = ConfigDict(validate_default=False)


class Output(settings.Output):
    """Output folder, file names, kinds of files, and what is kept beside them."""

    model_config = _GIVEN_ONLY

    folder: Given[Folder] = Field(
        default=None,
        description="Output folder, relative to this manifest. Or s3://BUCKET/PREFIX, in an object "
        "store (needs the extra s3; endpoint and credentials are in the AWS_ variables); journal, "
        "logs and report are in out/JOB then. Default: out/JOB.",
        examples=["/srv/cards", "s3://cards/horse"],
    )
    name: Text = Field(
        default="{{ id }}",
        description="Template of the file name; slashes make folders, {{ today }} is the date of "
        "the first run, an extension such as .png or .mp4 is removed. Default: the id.",
        examples=["{{ job }}-{{ id }}", "{{ today }}/{{ id }}"],
    )


class OnFinish(Block):
    """Notifications at the end of a run."""

    model_config = _GIVEN_ONLY

    notify: list[Text] = Field(
        default=[],
        description="Apprise URLs to notify, such as mailto://… or slack://…. "
        "Needs the extra notify. Default: none.",
        examples=[["mailto://user:password@example.com"]],
    )
    command: Given[Text] = Field(
        default=None,
        description="Command to run by the shell, in the folder of this manifest. Default: none.",
        examples=["./announce.sh"],
    )
    when: Literal["always", "problems"] = Field(
        default="always",
        description="always, or problems: only if the exit status is not 0, because an item is not "
        "done or the run stopped early. Default: always.",
        examples=["problems"],
    )


class OnItem(Block):
    """A command for each item that has ended."""

    model_config = ConfigDict(**_GIVEN_ONLY, json_schema_extra={"required": ["command"]})

    command: Given[Text] = Field(
        default=None,
        description="Command to run by the shell, in the folder of this manifest, beside the run, "
        "when an item has ended. It reads the item as JSON from standard input. Default: none.",
        examples=["./publish.py"],
    )
    when: Annotated[list[ItemEnd], Field(min_length=1)] = Field(
        default=["done", "failed", "rejected", "held"],
        description="Statuses of the items for which the command runs: done, failed, rejected, "
        "held. Default: all four.",
        examples=[["done"]],
    )
    concurrency: Annotated[int, Field(strict=True, ge=1, le=64)] = Field(
        default=4, description="Commands at the same time, at most. Default: 4.", examples=[2]
    )
    timeout: Duration = Field(
        default=60.0, description="Time after which a command is ended. Default: 60s."
    )


class Notify(Block):
    """Signs of life for a monitoring service."""

    model_config = _GIVEN_ONLY

    heartbeat: Given[WebAddress] = Field(
        default=None,
        description="URL to ping when a run ends well; URL/start when it starts and URL/fail when "
        "it fails or is refused, as healthchecks.io and services like it expect. Default: none.",
        examples=["https://hc-ping.com/3c1169a0-7b50-11ea-873d-3c970e75c219"],
    )


class Prompt(BaseModel):
    """One entry of `prompts`: its text, variables and settings."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}},
    )

    prompt: Prose = Field(
        description="Text of the prompt; may be a template.", examples=["A horse in {{ style }}"]
    )
    id: Given[Id] = Field(
        default=None,
        description="Name of the item in file names, report and commands. Default: the first words "
        "of the prompt and six digits of its hash.",
        examples=["card-7"],
    )
    workflow: Given[Text] = Field(
        default=None,
        description="Workflow of this prompt. Default: the job's.",
        examples=["wedding_photo_retouching"],
    )
    params: Given[Params] = Field(
        default=None,
        description="Fields that are added to the job's params or replace them. If the prompt has "
        "its own workflow, these are all its params. Default: the job's.",
        examples=[{"3": {"steps": 40}}],
    )
    name: Given[Text] = Field(
        default=None,
        description="Template of the file name. Default: output.name.",
        examples=["cover"],
    )
    attempts: Given[Attempts] = Field(
        default=None,
        description="Attempts of this prompt. Default: the job's.",
        examples=[3],
    )
    repeat: Given[Repeat] = Field(
        default=None, description="Repeats of this prompt. Default: the job's.", examples=[5]
    )


Entries = Annotated[list[Prose | Prompt], Field(min_length=1)]


class Matrix(BaseModel):
    """Values of each variable; every combination of them is an item."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        json_schema_extra={"propertyNames": {"pattern": NAME_PATTERN}},
    )
    __pydantic_extra__: dict[str, Values] = Field(init=False)

    exclude: list[Variables] = Field(
        default=[],
        description="Combinations to remove. Each entry removes those that have all its values. "
        "Default: none.",
        examples=[[{"style": "ink wash", "size": "large"}]],
    )
    include: list[Variables] = Field(
        default=[],
        description="Variables to add. Each entry is added to the combinations that have its other "
        "values; if there are none, it becomes one more combination. Default: none.",
        examples=[[{"style": "oil painting"}]],
    )


class Document(Block):
    """A manifest of batch-runner: one job, its settings and its output."""

    model_config = ConfigDict(
        **_GIVEN_ONLY,
        json_schema_extra={
            "anyOf": [{"required": [source]} for source in SOURCES],
            "not": {"required": ["base_url", "base_urls"]},
            **USUAL_SERVICE,
        },
    )

    job: Given[JobName] = Field(
        default=None,
        description="Name of the job. Default: the name of this file.",
        examples=["new-year-cards"],
    )
    provider: Text = Field(
        default="baicai",
        description="Service that generates the files; `batch-runner providers` lists them. "
        "Default: baicai.",
        examples=["baicai", "comfyui"],
    )
    base_url: Given[ServerUrl] = Field(
        default=None,
        description="URL of your own server. Default for comfyui: http://127.0.0.1:8188.",
        examples=["http://127.0.0.1:8188"],
    )
    base_urls: Given[ServerUrls] = Field(
        default=None,
        description="URLs of several servers of your own, which share the work. Default: base_url.",
        examples=[["http://gpu1:8188", "http://gpu2:8188"]],
    )
    workflow: Given[Text] = Field(
        default=None,
        description="Id of the workflow or model at the service; for the provider comfyui a "
        "workflow file in API format, relative to this manifest. May be a template. Required "
        "unless the service has no workflows.",
        examples=["year_of_the_horse_greeting_card", "cards_workflow.json"],
    )
    params: Params = Field(
        description="Values by node and field of the workflow, or by field if the service has no "
        "nodes; texts may be templates.",
        examples=[{"6": {"text": "{{ prompt }}"}}],
    )
    prompts: Given[SkipValidation[Entries]] = Field(
        default=None,
        description="Prompts of the items, each a text or a mapping. Default: none.",
        examples=[["A paper-cut horse", {"id": "ink", "prompt": "An ink-wash horse"}]],
    )
    matrix: Given[Matrix] = Field(
        default=None,
        description="Values of each variable; every combination of them is an item, for each "
        "prompt or row if there are some. Default: none.",
        examples=[{"style": ["paper-cut", "ink wash"], "size": ["small", "large"]}],
    )
    repeat: Repeat = Field(
        default=1,
        description="How often each item is generated; the variable n counts from 1. Default: 1.",
        examples=[2],
    )
    prompts_from: Given[DataFile] = Field(
        default=None,
        description="File with the prompts, relative to this manifest: .txt with a prompt on each "
        "line, or a table (.csv, .tsv, .jsonl; .xlsx needs the extra xlsx) whose rows are items "
        "and whose columns are variables. Default: none.",
        examples=["names.csv"],
    )
    items_from: Given[DataFile] = Field(
        default=None,
        description="Earlier name of prompts_from. Default: none.",
        examples=["names.csv"],
        json_schema_extra={"deprecated": True},
    )
    encoding: Given[Encoding] = Field(
        default=None,
        description="Encoding of the file under prompts_from, such as gbk, gb18030 or big5. "
        "Default: UTF-8, or UTF-16 if the file starts with its byte order mark.",
        examples=["gbk"],
    )
    sheet: Given[Text] = Field(
        default=None,
        description="Sheet of the .xlsx file under prompts_from. Default: the first visible one.",
        examples=["Cards"],
    )
    files_from: Given[FilePatterns] = Field(
        default=None,
        description="Input files that are items: a variable and a pattern of paths, relative to "
        "this manifest. Each file is combined with each prompt or row; VARIABLE_stem is its name "
        "without extension. Default: none.",
        examples=[{"photo": "photos/*.jpg"}],
    )
    on_duplicate: Literal["error", "skip"] = Field(
        default="error",
        description="What to do about an item that would send the same as an earlier one: error "
        "refuses the manifest, skip leaves the item out and says how many were. Default: error.",
        examples=["skip"],
    )
    defaults: Variables = Field(
        default={},
        description="Values of variables for items that do not give them, and for empty CSV cells. "
        "Default: none.",
        examples=[{"style": "paper-cut"}],
    )
    files: FileVariables = Field(
        default={},
        description="Input files: variable and path. A path may be a template. A file is uploaded "
        "if a template of the item uses its variable. Default: none.",
        examples=[{"photo": "photos/bridal_couple.jpg"}],
    )
    attempts: Attempts = Field(
        default=1,
        description="Submissions of one item, at most; each may cost money. With more than 1, an "
        "item is submitted again after the service reports FAILED. Default: 1.",
        examples=[2],
    )
    reuse: ReuseField = Reuse.ALWAYS
    keep_awake: KeepAwakeField = True
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    polling: Polling = Polling()
    retries: Retries = Retries()
    uploads: Uploads = Uploads()
    downloads: Downloads = Downloads()
    network: Network = Network()
    output: Output = Output()
    on_finish: OnFinish = OnFinish()
    on_item: OnItem = OnItem()
    notify: Notify = Notify()

    @property
    def data_file(self) -> str | None:
        """Return the file of `prompts_from`, also under its earlier name."""
        return self.prompts_from or self.items_from
