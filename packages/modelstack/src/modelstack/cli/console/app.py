"""The HTTP app, on 127.0.0.1. Read-only: nothing that a browser sends changes a stack."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from modelstack.cli.console.figure import short
from modelstack.cli.console.pages import Pages
from modelstack.cli.console.time_range import Range, requested_range
from modelstack.cli.errors import UNKNOWN, WRONG_USE, OperatorError
from modelstack.cli.view.board import value
from modelstack.cli.view.times import duration, when

_HERE = Path(__file__).parent
_STATUS = {WRONG_USE: 400, UNKNOWN: 503}  # of an exit code
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
TABS = (
    ("dashboard", "/"),
    ("rollout", "/rollout"),
    ("alarms", "/alarms"),
    ("registry", "/registry"),
    ("compare", "/compare"),
)


def app(pages: Pages) -> Starlette:
    """The console of one stack.

    It refuses a Host that is no loopback name, so that no website can read a stack through its visitor's browser (DNS
    rebinding).
    """
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def time(at: datetime | str) -> Markup:
        written = at if isinstance(at, str) else at.isoformat(timespec="seconds")
        return Markup('<time datetime="{}">{}</time>').format(written, when(at, pages.clock()))

    templates.globals |= {  # pyrefly: ignore[bad-assignment] - Jinja types it by what it begins with
        "tabs": TABS,
        "target": pages.target,
        "duration": duration,
        "measured": value,
        "short": short,
        "time": time,
        "when": when,
        "now": pages.clock,
        "runbook": _runbook,
    }

    def page(name: str, read: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            try:
                shown, template, status = await run_in_threadpool(read, request), f"{name}.html", 200
            except OperatorError as error:
                status = _STATUS.get(error.exit_code, 404)
                shown, template = {"error": error, "said": f"cannot look: {error}"}, "problem.html"
            text = templates.get_template(template).render(shown, here=name)
            return HTMLResponse(text, status, _HEADERS)

        return answer

    async def missing(request: Request, _: Exception) -> Response:
        text = templates.get_template("missing.html").render(path=request.url.path, here="no such page", said="")
        return HTMLResponse(text, 404, _HEADERS)

    def shown_range(request: Request) -> Range:
        return requested_range(request.query_params, pages.clock())

    reads: dict[str, Callable[[Request], dict[str, Any]]] = {
        "dashboard": lambda request: pages.dashboard(shown_range(request)),
        "rollout": lambda _: pages.rollout(),
        "alarms": lambda _: pages.alarms(),
        "registry": lambda _: pages.registry(),
        "lineage": lambda request: pages.lineage(request.query_params),
        "runbook": lambda request: pages.runbook(request.query_params.get("section", "")),
        "compare": lambda request: pages.compare(shown_range(request), request.query_params),
    }
    return Starlette(
        exception_handlers={404: missing},
        routes=[
            *(Route("/" if name == "dashboard" else f"/{name}", page(name, read)) for name, read in reads.items()),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


def _runbook(address: str) -> str:
    return address if address.startswith("http") else f"/runbook?section={address.partition('#')[2]}"
