"""Adds a first page, and keeps only the language after the three backticks of a code block."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from batch_runner.cli.commands.help import TOPICS


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page with the topics, as `batch-runner help` lists them."""
    topics = [f"- [{topic}]({topic}.md): {text}" for topic, text in TOPICS.items()]
    text = "\n".join(["# batch-runner", "", *topics, ""])
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Remove what only tests need."""
    return re.sub(r"^(```\w+) .*$", r"\1", markdown, flags=re.MULTILINE)
