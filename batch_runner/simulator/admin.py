"""The pages below /_sim: ledger, faults, reset, and an overview with the latest pictures.

They need no key, and requests to them are not counted in the ledger.
"""

from __future__ import annotations

import html
import json

from aiohttp import web

from batch_runner.simulator.dispatcher import Dispatcher
from batch_runner.simulator.faults import FAULTS

LATEST_PICTURES = 24

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Service simulator</title>
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
<h1>Service simulator</h1>
<p>Nothing here costs money. <a href="/_sim/ledger">Ledger</a> ·
<a href="/_sim/faults">Faults</a> (POST a list to replace them) ·
POST /_sim/reset deletes all tasks.</p>
<dl>{totals}</dl>
<p>Active faults: {faults}</p>
<h2>Latest pictures</h2>
<ul>{pictures}</ul>
</html>
"""


class AdminPages:
    """The pages for the person who runs the simulator."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sim/", self.page),
            web.get("/_sim/ledger", self.ledger),
            web.get("/_sim/faults", self.faults),
            web.post("/_sim/faults", self.replace_faults),
            web.post("/_sim/reset", self.reset),
            web.post("/_sim/forget", self.forget),
            web.get("/_sim/pictures/{task_id}/{number:\\d+}.png", self.picture),
        ]

    async def ledger(self, _: web.Request) -> web.Response:
        service = self._dispatcher.service
        return _json(service.ledger.as_json(service.now()))

    async def faults(self, _: web.Request) -> web.Response:
        """Return the active rules, and every known fault with its description."""
        return _json({"faults": self._dispatcher.plan.texts, "known": FAULTS})

    async def replace_faults(self, request: web.Request) -> web.Response:
        """Replace the active rules by those of a JSON list."""
        try:
            texts = json.loads(await request.read())
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError(
                    'the body must be a JSON list such as ["lose_answer:submit:times=1"]'
                )
            self._dispatcher.set_faults(texts)
        except ValueError as error:
            return _json({"error": str(error)}, status=400)
        return _json({"faults": self._dispatcher.plan.texts})

    async def reset(self, _: web.Request) -> web.Response:
        """Delete tasks and ledger; keep the fault rules and restart their counts."""
        self._dispatcher.service.reset()
        self._dispatcher.set_faults(self._dispatcher.plan.texts)
        return _json({"reset": True})

    async def forget(self, _: web.Request) -> web.Response:
        """Lose all tasks but not their files, as after a restart of a server that keeps none."""
        service = self._dispatcher.service
        service.ledger.forget(service.now())
        return _json({"forgotten": True})

    async def picture(self, request: web.Request) -> web.Response:
        """Return a picture without counting a download."""
        task = self._dispatcher.service.ledger.tasks.get(request.match_info["task_id"])
        if task is None:
            raise web.HTTPNotFound
        png = self._dispatcher.pictures.png(task, int(request.match_info["number"]))
        return web.Response(body=png, content_type="image/png")

    async def page(self, _: web.Request) -> web.Response:
        ledger = self._dispatcher.service.ledger
        counts = ledger.as_json(self._dispatcher.service.now())["totals"]
        totals = "".join(f"<div><dt>{name}<dd>{n:,}</div>" for name, n in counts.items())
        faults = html.escape(", ".join(self._dispatcher.plan.texts)) or "none"
        latest = ledger.submissions[: -LATEST_PICTURES - 1 : -1]
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
