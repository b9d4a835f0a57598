"""The aiohttp application: routes, middleware and what they need."""

import time
from functools import partial

from aiohttp import web

from bloxtr8.access.tokens import AccessTokens
from web.deps import DEPS, Deps, Process
from web.limits import Limiter
from web.middleware import MIDDLEWARES
from web.routes import Route
from web.serve import serve
from web.views import system

ROUTES: tuple[Route, ...] = (*system.ROUTES,)


def install(application: web.Application, process: Process) -> None:
    """Put routes and middleware on `application`; on one that has them: nothing happens.

    A process of role `agents` only tells how it is.
    """
    if DEPS in application:
        return
    application[DEPS] = Deps(
        process=process,
        tokens=AccessTokens.from_settings(process.settings, process.clock),
        limiter=Limiter(process.settings.web.rate_percent, time.monotonic),
    )
    application.middlewares.extend(MIDDLEWARES)
    for route in system.ROUTES if process.settings.role == "agents" else ROUTES:
        handler = partial(serve, route)
        if route.method == "GET":
            application.router.add_get(route.path, handler, allow_head=True)
        else:
            application.router.add_route(route.method, route.path, handler)


def make_web(process: Process) -> web.Application:
    """Return an application of its own around `process`."""
    application = web.Application()
    install(application, process)
    return application
