"""The report: the journal as one static page that opens from `file://`, without a network.

`summary_sentence` states the outcome, `problems` groups unfinished items by who can help,
`page_data` and `items` turn the journal into plain data, `thumbnails` makes the small images,
`page` assembles data, style and script, `write` stores them. `share` writes the images as one file
for somebody else. `static/` is what the browser runs.
"""

from batch_runner.report.item_history import total_seconds
from batch_runner.report.summary_sentence import effort_text, summary_sentence
from batch_runner.report.write import write_report

__all__ = ["effort_text", "summary_sentence", "total_seconds", "write_report"]
