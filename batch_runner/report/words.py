"""The words of the page in every language, by the names that `say` in `static/words.js` uses.

`{0}` and so on are replaced in the browser.
"""

from __future__ import annotations

from collections.abc import Iterable

from batch_runner.util.locale import Language, mark_tr, tr, use_language

LANGUAGES: tuple[Language, ...] = ("en", "zh")
#: Words by language and name.
PageWords = dict[Language, dict[str, str]]

WORDS = {
    "skip": mark_tr("Skip to the images"),
    "next": mark_tr("What to do next"),
    "problems": mark_tr("What is not done"),
    "changes": mark_tr("Since the previous run"),
    "sheet": mark_tr("Contact sheet"),
    "chosen": mark_tr("Favourites"),
    "figures": mark_tr("Statistics"),
    "keys": mark_tr(
        "Keys: arrows move, Enter opens, f favourite, c compare, / search, Esc closes."
    ),
    "contents": mark_tr("On this page"),
    "more": mark_tr("Show more ({0} left)"),
    "units": mark_tr("h min s"),
    "otherLabel": mark_tr("Switch to Chinese"),
    "written": mark_tr("Written {0}"),
    "rehearsal": mark_tr("Rehearsal: simulated images, nothing was paid"),
    "copy": mark_tr("Copy"),
    "copied": mark_tr("Copied"),
    "copyLabel": mark_tr("Copy the command {0}"),
    "why_resolve": mark_tr(
        "Decide about held items: attach a task id, submit again, or drop them."
    ),
    "why_retry": mark_tr("Retry failed and rejected items; each new submission may cost money."),
    "why_run": mark_tr("Continue with all unfinished items; finished ones are not touched."),
    "status_pending": mark_tr("pending"),
    "status_submitting": mark_tr("submitting"),
    "status_submitted": mark_tr("submitted"),
    "status_downloading": mark_tr("downloading"),
    "status_done": mark_tr("done"),
    "status_failed": mark_tr("failed"),
    "status_rejected": mark_tr("rejected"),
    "status_held": mark_tr("held"),
    "status_download_pending": mark_tr("download pending"),
    "status_dropped": mark_tr("dropped"),
    "status_new": mark_tr("new"),
    "owner_you": mark_tr("You can fix this"),
    "owner_service": mark_tr("Up to the service"),
    "owner_network": mark_tr("Network problem"),
    "owner_wait": mark_tr("No action needed"),
    "advice_you": mark_tr(
        "Check the prompt or the setting named below, change it, then run the command."
    ),
    "advice_service": mark_tr(
        "Nothing is wrong on your side. Retry later; if it persists, contact the service."
    ),
    "advice_network": mark_tr("Check the connection, then run the command."),
    "advice_wait": mark_tr("Nothing needs to be changed; the next run tries again."),
    "advice_done": mark_tr(
        "The job that these results come from has taken them back: look at them, and take them "
        "back here, too, if they are wrong."
    ),
    "advice_held": mark_tr(
        "A submission was sent and no response was received. Look in your account at the "
        "time given, then attach the task id, submit again, or drop the item."
    ),
    "no_reason": mark_tr("no reason given"),
    "items": mark_tr("{0} items"),
    "item": mark_tr("1 item"),
    "and_more": mark_tr("and {0} more, in the contact sheet below"),
    "show_these": mark_tr("Show these in the contact sheet"),
    "sent": mark_tr("sent {0}"),
    "filters": mark_tr("Filters"),
    "filters_active": mark_tr("Filters: {0} active"),
    "search": mark_tr("Search"),
    "searchHint": mark_tr("prompt, name, task id, note"),
    "status": mark_tr("Status"),
    "all": mark_tr("all"),
    "rows": mark_tr("Rows"),
    "columns": mark_tr("Columns"),
    "none": mark_tr("none"),
    "only": mark_tr("Only"),
    "favourites": mark_tr("favourites"),
    "changed": mark_tr("changed since the previous run"),
    "reset": mark_tr("Show all"),
    "found": mark_tr("{0} of {1} shown"),
    "left_out": mark_tr(
        "This page has {0} items: all that are not done, then the first of the manifest; "
        "`status --json` lists all."
    ),
    "nothing": mark_tr("Nothing matches these filters."),
    "loading": mark_tr("Loading …"),
    "no_item": mark_tr("no item"),
    "unlisted": mark_tr("no longer listed"),
    "image_missing": mark_tr("file is missing"),
    "image_damaged": mark_tr("file is damaged"),
    "image_large": mark_tr("too large to preview"),
    "kind_image": mark_tr("image"),
    "kind_video": mark_tr("video"),
    "kind_audio": mark_tr("audio"),
    "kind_model": mark_tr("3D model"),
    "kind_other": mark_tr("file"),
    "kind_text": mark_tr("text"),
    "kind_svg": mark_tr("SVG drawing"),
    "image_none": mark_tr("no preview"),
    "image_later": mark_tr("no preview yet"),
    "table": mark_tr("Images by variable"),
    "favourite": mark_tr("Favourite"),
    "note": mark_tr("Note"),
    "redo": mark_tr("Once more"),
    "compare": mark_tr("Compare"),
    "close": mark_tr("Close"),
    "previous": mark_tr("Previous"),
    "next_item": mark_tr("Next"),
    "prompt": mark_tr("Prompt"),
    "params": mark_tr("Request parameters"),
    "reused": mark_tr("Reused from"),
    "task": mark_tr("Task id"),
    "source": mark_tr("Manifest line"),
    "file": mark_tr("File"),
    "workflow": mark_tr("Workflow"),
    "attempt": mark_tr("Attempts"),
    "reason": mark_tr("Reason"),
    "history": mark_tr("History"),
    "service_time": mark_tr("Time at the service"),
    "total_time": mark_tr("Time until stored"),
    "of": mark_tr("{0} of {1}"),
    "variables": mark_tr("Variables"),
    "compare_now": mark_tr("Compare {0}"),
    "compare_clear": mark_tr("Clear"),
    "compare_title": mark_tr("Side by side"),
    "compare_more": mark_tr("Choose one more to compare."),
    "take_out": mark_tr("Remove"),
    "chosen_none": mark_tr(
        "None yet. Mark images with the star or the f key; the marks are kept in this browser."
    ),
    "count_favourites": mark_tr("Favourites: {0}."),
    "count_notes": mark_tr("Notes: {0}."),
    "chosen_kept": mark_tr("They are kept in this browser."),
    "why_export": mark_tr(
        "To copy the images of the favourites, save the JSON and run this command. It "
        "expects the file in the downloads folder of the machine where the job is; if it is "
        "elsewhere, change the path."
    ),
    "list": mark_tr("List of files"),
    "json": mark_tr("JSON with notes"),
    "more_like": mark_tr("Manifest “more like these”"),
    "shared_count": mark_tr("{0} images"),
    "shared_one": mark_tr("1 image"),
    "shared_hint": mark_tr(
        "Mark images with the star or the f key, then send the list back. "
        "The marks are kept in this browser."
    ),
    "image": mark_tr("Image {0}"),
    "marked": mark_tr("Marked: {0}"),
    "copy_list": mark_tr("Copy the list"),
    "save_list": mark_tr("Save the list"),
    "shared_keys": mark_tr("Keys: Enter opens, arrows move, f favourite, Esc closes."),
    "import_json": mark_tr("Import favourites from JSON"),
    "details_failed": mark_tr("The details could not be loaded."),
    "chart_rate": mark_tr("Submissions per minute"),
    "chart_limited": mark_tr("Rate-limited responses (429) per minute"),
    "chart_durations": mark_tr("Time at the service"),
    "chart_cost": mark_tr("Cost per run"),
    "chart_most": mark_tr("At most {0} per minute."),
    "chart_all": mark_tr("{0} in total."),
    "chart_median": mark_tr("Half took less than {0}, nine in ten less than {1}."),
    "run": mark_tr("Run"),
    "began": mark_tr("Started"),
    "took": mark_tr("Duration"),
    "submissions": mark_tr("Submissions"),
    "polls": mark_tr("Polls"),
    "limited": mark_tr("Rate-limited (429)"),
    "retries": mark_tr("Retries"),
    "message": mark_tr("Stopped because"),
    "unfinished_run": mark_tr("still running, or killed"),
    "runs_label": mark_tr("Table of runs"),
    "event_listed": mark_tr("listed"),
    "event_reused": mark_tr("files copied from another job"),
    "event_task_reused": mark_tr("task of another job, to be downloaded again"),
    "event_failed_before": mark_tr("failed in another job"),
    "event_paid_before": mark_tr("submitted by another job"),
    "event_unfinished_elsewhere": mark_tr("not finished by another job"),
    "event_submit_started": mark_tr("submission sent"),
    "event_submit_confirmed": mark_tr("submission accepted"),
    "event_submit_unsent": mark_tr("submission not accepted, will be sent again"),
    "event_submit_rejected": mark_tr("submission rejected"),
    "event_upload_rejected": mark_tr("input file rejected"),
    "event_upload_failed": mark_tr("input file not uploaded"),
    "event_submit_unanswered": mark_tr("no response to the submission"),
    "event_submit_interrupted": mark_tr("interrupted while submitting"),
    "event_submit_repeated": mark_tr("sent again with the same idempotency key"),
    "event_not_submitted": mark_tr("the service never accepted it, will be submitted"),
    "event_not_settled": mark_tr("still unknown whether it was accepted"),
    "event_task_lost": mark_tr("the service lost the task, will be submitted again"),
    "event_task_completed": mark_tr("completed by the service"),
    "event_task_failed": mark_tr("failed at the service"),
    "event_task_unknown": mark_tr("unknown to the service"),
    "event_download_failed": mark_tr("download failed"),
    "event_download_interrupted": mark_tr("download interrupted"),
    "event_download_resumed": mark_tr("download resumed"),
    "event_placed": mark_tr("file stored"),
    "event_file_missing": mark_tr("file missing or damaged"),
    "event_retried": mark_tr("to be retried"),
    "event_attached": mark_tr("task id attached"),
    "event_task_found": mark_tr("another task id found, which may be paid"),
    "event_corrected": mark_tr("task id corrected"),
    "event_resubmitted": mark_tr("to be submitted again"),
    "event_dropped": mark_tr("dropped"),
    "event_reopened": mark_tr("taken back to held"),
}


def page_words(names: Iterable[str] = WORDS) -> PageWords:
    """Return the words of these names, all by default."""
    words: PageWords = {}
    for language in LANGUAGES:
        with use_language(language):
            words[language] = {name: tr(WORDS[name]) for name in names}
    return words
