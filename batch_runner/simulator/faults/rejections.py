"""Faults that reject a request: statuses, codes, limits, redirects."""

from __future__ import annotations

import time
from email.utils import formatdate

from batch_runner.simulator.exchange import Exchange
from batch_runner.simulator.faults.registry import CALLS, JSON_CALLS, Response, fault
from batch_runner.simulator.responses import Answer
from batch_runner.simulator.tasks import Outcome

# Harmful in a terminal, a page or a spreadsheet that does not escape it.
HOSTILE_TEXT = "\x1b[2J\x1b]0;owned\x07\r\n\x00\u202e<script>alert(1)</script>=HYPERLINK(1)"
ERROR_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"
ABSURD_SECONDS = 999_999_999


@fault(*CALLS)
async def http(exchange: Exchange, *, status: int = 503) -> Response:
    """Respond with an HTTP error (default 503) as JSON; the work is not done."""
    return exchange.reject(exchange.responses.error(status, f"错误 {status}"))


@fault(*CALLS)
async def http_late(exchange: Exchange, *, status: int = 503) -> Response:
    """Do the work, then respond with an HTTP error (default 503): a submission is paid."""
    await exchange.do_work()
    return exchange.send(exchange.responses.error(status, f"错误 {status}"))


@fault(*CALLS)
async def html(exchange: Exchange, *, status: int = 502) -> Response:
    """Respond with a proxy's HTML error page (default 502); the work is not done."""
    return exchange.reject(_page(status))


@fault(*CALLS)
async def html_late(exchange: Exchange, *, status: int = 200) -> Response:
    """Do the work, then respond with an HTML page (default status 200): a submission is paid."""
    await exchange.do_work()
    return exchange.send(_page(status))


@fault(*JSON_CALLS)
async def code(exchange: Exchange, *, code: int = 500, as_text: int = 0) -> Response:
    """Respond with HTTP 200 and an error code (500; as_text=1: a string); the work is not done."""
    answer = exchange.responses.error(200, f"业务错误 {code}", code=code)
    if as_text and "code" in answer.body:
        answer.body["code"] = str(code)
    return exchange.reject(answer)


@fault("submit", "upload")
async def moderation(exchange: Exchange, *, status: int = 0, code: int = 0) -> Response:
    """Reject the content (baicai: HTTP 400, code 1601); the work is not done.

    Some services accept it first: then the task ends because its content is not allowed.
    """
    if exchange.responses.moderates_tasks and "submit" in exchange.calls:
        exchange.outcome = Outcome.MODERATED
        return await exchange.respond()
    return exchange.reject(exchange.responses.moderated(status or None, code or None))


@fault(*JSON_CALLS)
async def balance(exchange: Exchange, *, status: int = 0, code: int = 0) -> Response:
    """Reject for lack of balance (baicai: HTTP 402, code 402); the work is not done."""
    return exchange.reject(exchange.responses.no_balance(status or None, code or None))


@fault(*JSON_CALLS)
async def wrong_key(exchange: Exchange) -> Response:
    """Reject the key, in the service's own words; the work is not done."""
    return exchange.reject(exchange.responses.wrong_key(missing=False))


@fault(*JSON_CALLS)
async def echo(exchange: Exchange, *, status: int = 401, code: int = 401) -> Response:
    """Reject, and repeat the key in message and code; the work is not done."""
    key = exchange.key
    answer = exchange.responses.error(status, f"invalid api key: {key}", code=code)
    if code == 0 and "code" in answer.body:
        answer.body["code"] = f"E-{key}"
    return exchange.reject(answer)


@fault(*JSON_CALLS)
async def rude(exchange: Exchange, *, status: int = 400) -> Response:
    """Reject with control characters, HTML and a formula in the message; the work is not done."""
    return exchange.reject(exchange.responses.error(status, HOSTILE_TEXT))


@fault(*CALLS)
async def limited(exchange: Exchange, *, retry_after: str = "1", status: int = 0) -> Response:
    """Respond 429; retry_after is seconds, date, past, garbage, negative, absurd or absent."""
    answer = exchange.responses.busy(status or None)
    values = {
        "date": formatdate(time.time() + 3, usegmt=True),
        "past": formatdate(time.time() - 3600, usegmt=True),
        "garbage": "in a while",
        "negative": "-5",
        "absurd": str(ABSURD_SECONDS),
    }
    if retry_after != "absent":
        answer.headers["Retry-After"] = values.get(retry_after, retry_after)
    return exchange.reject(answer)


@fault(*CALLS)
async def redirect(exchange: Exchange, *, status: int = 307, to: str = "") -> Response:
    """Redirect to another origin (or to=URL, absent, garbage), which records what follows."""
    return exchange.reject(_redirect(exchange, status, to))


@fault("submit")
async def redirect_late(exchange: Exchange, *, status: int = 303, to: str = "") -> Response:
    """Do the work, then redirect (default 303), as from a form: a submission is paid."""
    await exchange.do_work()
    return exchange.send(_redirect(exchange, status, to))


@fault("download")
async def hop(exchange: Exchange, *, hops: int = 2) -> Response:
    """Redirect twice on the files' own origin, then send the file."""
    done = int(exchange.request.query.get("hop", "0"))
    if done >= hops:
        return await exchange.respond()
    answer = Answer(302, content=b"")
    answer.headers["Location"] = str(exchange.request.rel_url.update_query(hop=str(done + 1)))
    return exchange.send(answer)


def _redirect(exchange: Exchange, status: int, to: str) -> Answer:
    answer = exchange.responses.error(status, "moved")
    target = {"": exchange.trap_url + exchange.request.path, "garbage": "http://[::1/"}.get(to, to)
    if to != "absent":
        answer.headers["Location"] = target
    return answer


def _page(status: int) -> Answer:
    page = ERROR_PAGE.format(f"{status} Bad Gateway").encode()
    return Answer(status, content=page, content_type="text/html")
