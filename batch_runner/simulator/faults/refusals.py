"""Faults by which the service says no: statuses, codes, limits, redirects."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from batch_runner.simulator.faults.registry import CALLS, JSON_CALLS, fault
from batch_runner.simulator.responses import Answer

if TYPE_CHECKING:
    from batch_runner.simulator.exchange import Exchange
    from batch_runner.simulator.faults.registry import Response

# Everything that does harm when it reaches a terminal, a page or a spreadsheet unescaped.
RUDE_WORDS = "\x1b[2J\x1b]0;owned\x07\r\n\x00\u202e<script>alert(1)</script>=HYPERLINK(1)"
ERROR_PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx</body></html>"
BEYOND_REASON = 999_999_999  # seconds


@fault(*CALLS)
async def http(exchange: Exchange, *, status: int = 503) -> Response:
    """Answer with an HTTP status (default 503) and its JSON; nothing is done."""
    return exchange.refuse(exchange.service.voice.refusal(status, f"错误 {status}"))


@fault(*CALLS)
async def http_late(exchange: Exchange, *, status: int = 503) -> Response:
    """Do the work, then answer with an HTTP status (default 503): a create is paid."""
    await exchange.answer()
    return exchange.send(exchange.service.voice.refusal(status, f"错误 {status}"))


@fault(*CALLS)
async def html(exchange: Exchange, *, status: int = 502) -> Response:
    """Answer with a proxy's HTML error page (default 502); nothing is done."""
    return exchange.refuse(_page(status))


@fault(*CALLS)
async def html_late(exchange: Exchange, *, status: int = 200) -> Response:
    """Do the work, then answer with an HTML page (default under status 200)."""
    await exchange.answer()
    return exchange.send(_page(status))


@fault(*JSON_CALLS)
async def code(exchange: Exchange, *, code: int = 500, as_text: int = 0) -> Response:
    """Answer HTTP 200 with an error code inside (500; as_text=1: a string); nothing is done."""
    answer = exchange.service.voice.refusal(200, f"业务错误 {code}", code=code)
    if as_text:
        answer.body["code"] = str(code)
    return exchange.refuse(answer)


@fault("create", "upload")
async def moderation(exchange: Exchange, *, status: int = 400, code: int = 1601) -> Response:
    """Refuse the content (HTTP 400, code 1601); nothing is done."""
    return exchange.refuse(exchange.service.voice.refusal(status, "内容审核未通过", code=code))


@fault(*JSON_CALLS)
async def balance(exchange: Exchange, *, status: int = 402, code: int = 402) -> Response:
    """Refuse for want of money (HTTP 402, code 402); nothing is done."""
    return exchange.refuse(exchange.service.voice.refusal(status, "余额不足", code=code))


@fault(*JSON_CALLS)
async def echo(exchange: Exchange, *, status: int = 401, code: int = 401) -> Response:
    """Refuse, and repeat the key in message and code; nothing is done."""
    key = exchange.request.headers.get("Authorization", "").removeprefix("Bearer ")
    answer = exchange.service.voice.refusal(status, f"invalid api key: {key}", code=code)
    if code == 0:
        answer.body["code"] = f"E-{key}"
    return exchange.refuse(answer)


@fault(*JSON_CALLS)
async def rude(exchange: Exchange, *, status: int = 400) -> Response:
    """Refuse in words full of control characters, HTML and a formula; nothing is done."""
    return exchange.refuse(exchange.service.voice.refusal(status, RUDE_WORDS))


@fault(*CALLS)
async def limited(exchange: Exchange, *, retry_after: str = "1", status: int = 429) -> Response:
    """Answer 429; retry_after is seconds, date, past, garbage, negative, absurd or absent."""
    answer = exchange.service.voice.refusal(status, "请求过于频繁, 请稍后再试")
    values = {
        "date": formatdate(time.time() + 3, usegmt=True),
        "past": formatdate(time.time() - 3600, usegmt=True),
        "garbage": "in a while",
        "negative": "-5",
        "absurd": str(BEYOND_REASON),
    }
    if retry_after != "absent":
        answer.headers["Retry-After"] = values.get(retry_after, retry_after)
    return exchange.refuse(answer)


@fault(*CALLS)
async def redirect(exchange: Exchange, *, status: int = 307, to: str = "") -> Response:
    """Redirect to another origin (or to=URL), where it is noted who followed with a key."""
    answer = exchange.service.voice.refusal(status, "moved")
    answer.headers["Location"] = to or exchange.decoy_url + exchange.request.path
    return exchange.refuse(answer)


@fault("download")
async def hop(exchange: Exchange, *, hops: int = 2) -> Response:
    """Redirect a few times on the files' own origin, then give the file."""
    done = int(exchange.request.query.get("hop", "0"))
    if done >= hops:
        return await exchange.honest()
    answer = Answer(302, content=b"")
    answer.headers["Location"] = str(exchange.request.rel_url.update_query(hop=str(done + 1)))
    return exchange.send(answer)


def _page(status: int) -> Answer:
    page = ERROR_PAGE.format(f"{status} Bad Gateway").encode()
    return Answer(status, content=page, content_type="text/html")
