from __future__ import annotations

from batch_runner.cli.help_formatter import TranslatingFormatter
from batch_runner.util.text import width


class Chinese(TranslatingFormatter):
    """Translates everything into the same long sentence."""

    def translate(self, message: str) -> str:
        return "每个项目最终都会成为磁盘上经过校验的文件，或者附有说明原因" if message else ""


def test_chinese_help_is_wrapped_by_terminal_cells() -> None:
    formatter = Chinese(width=50)

    formatter.write_text("One paragraph\nin two lines.\n\nAnother one.")
    formatter.write_dl([("--output FOLDER", "Output folder.  [required]")])

    lines = formatter.getvalue().splitlines()
    assert max(map(width, lines)) in (49, 50)
    assert "\0" not in formatter.getvalue()
    assert "[required]" in formatter.getvalue()


def test_epilog_is_translated_by_line_except_examples() -> None:
    class Marked(TranslatingFormatter):
        def translate(self, message: str) -> str:
            return f"<{message}>"

    formatter = Marked(width=80)

    formatter.write_text(
        "\b\nExamples:\n  batch-runner run a.yaml\n\n"
        "\b\nExit status:\n  0    Done.\n  130, 143  Ended."
    )

    assert formatter.getvalue().split("\n") == [
        "<Examples:>",
        "  batch-runner run a.yaml",
        "",
        "<Exit status:>",
        "  0    <Done.>",
        "  130, 143  <Ended.>",
        "",
    ]
