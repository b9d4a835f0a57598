"""The aiohttp application: routes, middleware and what they need."""

import time
from functools import partial

from aiohttp import web

from bloxtr8.access.tokens import AccessTokens
from bloxtr8.contracts.vault import Vault
from bloxtr8.disputes.files import EvidenceFiles
from bloxtr8.market.asking import Trading
from bloxtr8.market.dead_letters import DeadLetters
from bloxtr8.market.market import Market, make_market
from bloxtr8.payments.payout_methods import PayoutMethods
from bloxtr8.payments.pg_store import IntentReader
from bloxtr8.payments.service import PaymentPages
from bloxtr8.payments.stripe_accounts import StripeAccounts
from bloxtr8.payments.stripe_rail import StripeRail
from bloxtr8.payments.usdc.chain import Chain
from bloxtr8.store.objects import ObjectStore
from proto.bloxtr8.common.v1 import common_pb2 as common
from web.addresses import networks_of
from web.deps import DEPS, Deps, Process
from web.headers import finish
from web.limits import Limiter
from web.middleware import MIDDLEWARES
from web.routes import Route
from web.serve import serve
from web.views import (
    approvals,
    auth,
    contracts,
    dead_letters,
    disputes,
    docs,
    escrows,
    evidence,
    experiences,
    exports,
    facts,
    home,
    internal,
    linking,
    listings,
    live,
    me,
    notices,
    offers,
    operations,
    payments,
    payout_methods,
    receiving,
    signing,
    staff,
    staff_case,
    staff_disputes,
    staff_listings,
    staff_people,
    staff_reports,
    staff_statistics,
    statistics,
    system,
    trade,
    webhooks,
)

ROUTES: tuple[Route, ...] = (
    *system.ROUTES,
    *docs.ROUTES,
    *facts.ROUTES,
    *internal.ROUTES,
    *webhooks.ROUTES,
    *escrows.ROUTES,
    *trade.ROUTES,
    *receiving.ROUTES,
    *disputes.ROUTES,
    *evidence.ROUTES,
    *payments.ROUTES,
    *payout_methods.ROUTES,
    *operations.ROUTES,
    *staff.ROUTES,
    *staff_case.ROUTES,
    *staff_disputes.ROUTES,
    *dead_letters.ROUTES,
    *approvals.ROUTES,
    *auth.ROUTES,
    *linking.ROUTES,
    *me.ROUTES,
    *exports.ROUTES,
    *notices.ROUTES,
    *live.ROUTES,
    *experiences.ROUTES,
    *staff_people.ROUTES,
    *staff_statistics.ROUTES,
    *listings.ROUTES,
    *offers.ROUTES,
    *contracts.ROUTES,
    *signing.ROUTES,
    *staff_listings.ROUTES,
    *staff_reports.ROUTES,
    *statistics.ROUTES,
    *home.ROUTES,
)
# What a worker without the API serves: how it is, and its table to the other workers.
_AGENTS_ROUTES = (*system.ROUTES, *internal.ROUTES)


def install(application: web.Application, process: Process) -> None:
    """Put routes and middleware on `application`; on one that has them: nothing happens."""
    if DEPS in application:
        return
    application[DEPS] = _deps(application, process)
    application.middlewares.extend(MIDDLEWARES)
    application.on_response_prepare.append(finish)
    application.on_shutdown.append(_end_streams)
    for route in _AGENTS_ROUTES if process.settings.role == "agents" else ROUTES:
        handler = partial(serve, route)
        if route.method == "GET":
            application.router.add_get(route.path, handler, allow_head=True)
        else:
            application.router.add_route(route.method, route.path, handler)


async def _end_streams(application: web.Application) -> None:
    await application[DEPS].live.close()


def make_web(process: Process) -> web.Application:
    """Return an application of its own around `process`."""
    application = web.Application()
    install(application, process)
    return application


def _deps(application: web.Application, process: Process) -> Deps:
    settings, clock = process.settings, process.clock
    stripe = StripeRail(settings.stripe, clock)

    tokens = AccessTokens.from_settings(settings, clock)
    trading = Trading()
    people = _market(process, tokens, trading) if settings.role != "agents" else None

    payouts = None if people is None else _payouts(process, people)
    files = None if people is None else ObjectStore(settings.s3)

    async def close(_application: web.Application) -> None:
        await stripe.close()
        for part in (payouts, people, files):
            if part is not None:
                await part.close()

    application.on_cleanup.append(close)
    return Deps(
        process=process,
        tokens=tokens,
        limiter=Limiter(settings.web.rate_percent, time.monotonic),
        payment_pages=PaymentPages(IntentReader(), stripe, settings.stripe.publishable_key, clock),
        payouts=payouts,
        people=people,
        trading=trading.open(people, process.keyring) if people is not None else None,
        files=files,
        evidence_files=EvidenceFiles(files, clock) if files is not None else None,
        documents=Vault(files, clock) if files is not None else None,
        dead_letters=DeadLetters(settings.kafka, process.keyring),
        proxies=networks_of(settings.web.trusted_proxies),
        routes=ROUTES,
    )


def _payouts(process: Process, people: Market) -> PayoutMethods:
    settings = process.settings
    accounts = StripeAccounts(settings.stripe, process.clock)
    urls = settings.base.rpc_urls
    chain = Chain(urls[0].get_secret_value(), settings.base, process.clock) if urls else None
    return PayoutMethods(settings, accounts, chain, people.events)


def _market(process: Process, tokens: AccessTokens, trading: Trading) -> Market:
    signer = process.keyring.signer(common.PRODUCER_WEB)
    return make_market(process.settings, process.clock, tokens.keys, signer, trading.effects)
