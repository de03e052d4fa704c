"""What the operator of the simulator sees and turns: ledger, faults, reset, a page of pictures.

Needs no key, and nothing done here counts in the ledger.
"""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from aiohttp import web

from batch_runner.simulator.faults import FAULTS

if TYPE_CHECKING:
    from batch_runner.simulator.dispatcher import Dispatcher

LATEST = 24  # pictures on the page

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>The service, acted</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ max-width: 72rem; margin: 2rem auto; padding: 0 1rem }}
dl {{ display: flex; gap: 2rem; flex-wrap: wrap }} dt {{ opacity: .7 }} dd {{ margin: 0;
font-size: 1.6rem }}
ul {{ list-style: none; padding: 0; display: grid; gap: 1rem;
grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }}
img {{ width: 100%; border-radius: 4px; box-shadow: 0 1px 6px #0005 }}
figure {{ margin: 0 }} figcaption {{ font-size: .8rem; overflow-wrap: anywhere }}
</style>
<h1>The service, acted</h1>
<p>Nothing here costs money. <a href="/_sim/ledger">Ledger</a> ·
<a href="/_sim/faults">Faults</a> (POST a list to change them) · POST /_sim/reset forgets all.</p>
<dl>{totals}</dl>
<p>Faults in force: {faults}</p>
<h2>Latest pictures</h2>
<ul>{pictures}</ul>
</html>
"""


class Backstage:
    """The pages below /_sim."""

    def __init__(self, stage: Dispatcher) -> None:
        self._stage = stage

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the operator."""
        return [
            web.get("/_sim/", self.page),
            web.get("/_sim/ledger", self.ledger),
            web.get("/_sim/faults", self.faults),
            web.post("/_sim/faults", self.replace_faults),
            web.post("/_sim/reset", self.reset),
            web.get("/_sim/pictures/{task_id}/{number:\\d+}.png", self.picture),
        ]

    async def ledger(self, _: web.Request) -> web.Response:
        """Everything that happened, as JSON."""
        service = self._stage.service
        return _json(service.ledger.as_json(service.now()))

    async def faults(self, _: web.Request) -> web.Response:
        """The rules in force, and every fault there is."""
        return _json({"faults": self._stage.plan.texts, "known": FAULTS})

    async def replace_faults(self, request: web.Request) -> web.Response:
        """Take a JSON list of rules in the place of those in force."""
        try:
            texts = json.loads(await request.read())
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError('wanted a JSON list such as ["lose_answer:create:times=1"]')
            self._stage.set_faults(texts)
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        return _json({"faults": self._stage.plan.texts})

    async def reset(self, _: web.Request) -> web.Response:
        """Forget tasks and ledger; the faults stay, their counts begin anew."""
        self._stage.service.reset()
        self._stage.set_faults(self._stage.plan.texts)
        return _json({"reset": True})

    async def picture(self, request: web.Request) -> web.Response:
        """Show a picture without counting a fetch."""
        task = self._stage.service.ledger.tasks.get(request.match_info["task_id"])
        if task is None:
            raise web.HTTPNotFound
        png = self._stage.pictures.png(task, int(request.match_info["number"]))
        return web.Response(body=png, content_type="image/png")

    async def page(self, _: web.Request) -> web.Response:
        """Show what the service has done, to a person."""
        ledger = self._stage.service.ledger
        counts = ledger.as_json(self._stage.service.now())["totals"]
        totals = "".join(f"<div><dt>{name}<dd>{n:,}</div>" for name, n in counts.items())
        faults = html.escape(", ".join(self._stage.plan.texts)) or "none"
        latest = ledger.submissions[: -LATEST - 1 : -1]
        pictures = "".join(_figure(task.id, task.prompt) for task in latest) or "None yet."
        text = PAGE.format(totals=totals, faults=faults, pictures=pictures)
        return web.Response(text=text, content_type="text/html")


def _figure(task_id: str, prompt: str) -> str:
    words = html.escape(prompt)
    return (
        f'<li><figure><img loading="lazy" src="/_sim/pictures/{task_id}/1.png" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _json(value: object, *, status: int = 200) -> web.Response:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    return web.Response(text=text, content_type="application/json", status=status)
