"""The report: the journal as one static page that opens from `file://`, without a network.

`verdict` says how a job stands in one sentence, `triage` sorts what is not done by who can fix it,
`overview` and `items` turn the journal into plain data, `thumbnails` makes the small pictures,
`page` puts data, style and script together, `write` brings them to the disk. `static/` holds what
runs in the browser.
"""

from batch_runner.report.verdict import verdict_sentence
from batch_runner.report.write import write_report

__all__ = ["verdict_sentence", "write_report"]
