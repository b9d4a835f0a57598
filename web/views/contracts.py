"""Contracts: read, downloaded, signed, called off, and told apart from forgeries."""

from dataclasses import replace
from uuid import UUID

from aiohttp import web

from bloxtr8.contracts import reading, rows, signing, voiding
from bloxtr8.contracts.reading import Part, Wanted
from bloxtr8.contracts.signing import OwnershipUnproved, Signing
from bloxtr8.errors import (
    ConsentRequired,
    ContractIntegrity,
    ContractNotReady,
    DocumentChanged,
    InvalidState,
    LinkExpired,
    NotFound,
    OwnershipLost,
    OwnershipUnknown,
    SigningExpired,
    StepUpRequired,
    TierRequired,
    UpstreamUnavailable,
)
from bloxtr8.market.actors import Actor
from bloxtr8.market.audit import Deed, record
from bloxtr8.market.place import Change, Proof
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from web import contract_present, pages, trading
from web.actors import actor_of
from web.call import Call
from web.contract_answers import (
    CallOff,
    ContractFile,
    ContractList,
    ContractOut,
    ContractPage,
    ContractWithTerms,
    HashIn,
    HashOut,
    SignIn,
)
from web.limits import RateClass
from web.requests import StaffAction
from web.routes import KeyRule, Reply, Route, Who
from web.trading import change_once, id_of, told
from web.trading_present import Row, Viewer


async def list_own(call: Call) -> Reply:
    query: ContractList = call.query
    at, last = pages.moment_position(call)
    part = Part(query.limit + 1, (at, last) if at and last else None)
    user_id = UUID(call.caller.user_id)
    found = await reading.of_person(user_id, Wanted(query.status, query.role), part)
    shown, cursor = pages.cut(call, found, pages.by_moment("created_at"))
    viewer = Viewer(user_id, None)
    items = [contract_present.contract(row, viewer, call.now) for row in shown]
    return Reply(ContractPage(items=items, next_cursor=cursor), headers=pages.link(call, cursor))


async def read(call: Call) -> Reply:
    row, viewer = await _visible(call)
    answer = contract_present.with_terms(row, viewer, call.now)
    return Reply(answer)


async def download(call: Call) -> Reply:
    """Lead to the document for a minute; the look is audited."""
    query: ContractFile = call.query
    row, viewer = await _visible(call)
    sha256 = row["pdf_sha256"] if query.variant == "draft" else row["final_sha256"]
    if sha256 is None:
        raise ContractNotReady(retry_after_s=5)
    link = await call.deps.vault.link(row, sha256)
    deed = Deed("contract.downloaded", rows.on_contract(row["id"]), data={"variant": query.variant})
    own = rows.side_of(row, viewer.user_id) is not None
    actor = replace(actor_of(call), role=None if own else viewer.role)

    async def note(tx: Transaction) -> None:
        await record(tx, actor, deed, call.now)

    await database.run_in_transaction(note)
    return Reply(web.Response(status=302, headers={"Location": link}))


async def sign(call: Call) -> Reply:
    """Sign what was shown; the second signature waits for Roblox to say whose the game is."""
    body: SignIn = call.body
    if body.token is None:
        call.caller.require_step_up(call.now)
    contract_id = id_of(call, "contract_id")
    row, _ = await _of_party(call, contract_id)
    if row["status"] == "PENDING_SIGNATURE" and row["pdf_sha256"] is not None:
        await call.deps.vault.check(contract_id, row["pdf_sha256"])
    wish = Signing(contract_id, bytes.fromhex(body.document_sha256), body.token)
    try:
        return await _signed(call, wish, None)
    except OwnershipUnproved:
        proof = await signing.prove(call.deps.place, contract_id)
    try:
        return await _signed(call, wish, proof)
    except OwnershipLost:
        await _lose(call, contract_id)
        raise


async def _signed(call: Call, wish: Signing, proof: Proof | None) -> Reply:
    async def work(change: Change) -> Reply:
        row = await signing.sign(change, wish, proof)
        return await _shown(change, row["id"])

    return await change_once(call, work)


async def _lose(call: Call, contract_id: UUID) -> None:
    async def work(tx: Transaction) -> None:
        change = Change(tx, Actor.system(), call.deps.place, call.now)
        await signing.lose(change, contract_id)

    await database.run_in_transaction(work)


async def decline(call: Call) -> Reply:
    body: CallOff = call.body
    contract_id = id_of(call, "contract_id")

    async def work(change: Change) -> Reply:
        await voiding.decline(change, contract_id, body.reason)
        return await _shown(change, contract_id)

    return await change_once(call, work)


async def void(call: Call) -> Reply:
    """Staff end a contract that is not signed by both."""
    body: StaffAction = call.body
    contract_id = id_of(call, "contract_id")

    async def work(change: Change) -> Reply:
        await voiding.by_staff(change, contract_id, body.reason)
        row = await reading.contract(contract_id, change.tx)
        assert row is not None, "it was just ended"
        viewer = Viewer(change.actor.id, call.role)
        return told(contract_present.contract(row, viewer, call.now))

    return await change_once(call, work)


async def verify(call: Call) -> Reply:
    """Tell whether a document is ours, to whoever has it."""
    body: HashIn = call.body
    return Reply(contract_present.known(await reading.known(bytes.fromhex(body.sha256))))


async def _visible(call: Call) -> tuple[Row, Viewer]:
    """Return the contract that the path names for a party or staff; raises NotFound."""
    viewer = await trading.viewer_of(call)
    row = await reading.contract(trading.named(call, "contract_id"))
    if row is None or not (rows.side_of(row, viewer.user_id) or viewer.staff):
        raise NotFound
    return row, viewer


async def _of_party(call: Call, contract_id: UUID) -> tuple[Row, str]:
    async with database.transaction() as tx:
        return await rows.of_party(tx, contract_id, UUID(call.caller.user_id))


async def _shown(change: Change, contract_id: UUID) -> Reply:
    row = await reading.contract(contract_id, change.tx)
    assert row is not None, "it was just changed"
    viewer = Viewer(change.actor.id, None)
    answer = contract_present.contract(row, viewer, change.now)
    return told(answer)


_ONE = "/api/v1/contracts/{contract_id}"
ROUTES = (
    Route(
        "GET",
        "/api/v1/contracts",
        list_own,
        Who.USER,
        "Own contracts",
        query=ContractList,
        answer=ContractPage,
    ),
    Route("GET", _ONE, read, Who.USER, "One contract", answer=ContractWithTerms),
    Route(
        "GET",
        f"{_ONE}/pdf",
        download,
        Who.USER,
        "The document, for a minute",
        query=ContractFile,
        status=302,
        errors=(ContractNotReady, ContractIntegrity, UpstreamUnavailable),
    ),
    Route(
        "POST",
        f"{_ONE}/sign",
        sign,
        Who.USER,
        "Sign a contract",
        RateClass.MONEY,
        body=SignIn,
        answer=ContractOut,
        key=KeyRule.OPTIONAL,
        errors=(
            *(ContractNotReady, DocumentChanged, ContractIntegrity, SigningExpired, InvalidState),
            *(TierRequired, ConsentRequired, OwnershipLost, OwnershipUnknown, LinkExpired),
            *(StepUpRequired, UpstreamUnavailable),
        ),
    ),
    Route(
        "POST",
        f"{_ONE}/decline",
        decline,
        Who.USER,
        "Call a contract off before both have signed",
        RateClass.WRITE,
        body=CallOff,
        answer=ContractOut,
        key=KeyRule.OPTIONAL,
        errors=(InvalidState,),
    ),
    Route(
        "POST",
        "/api/v1/contracts/verify",
        verify,
        Who.ANYONE,
        "Is this document ours?",
        RateClass.HASH,
        body=HashIn,
        answer=HashOut,
    ),
    Route(
        "POST",
        "/api/v1/staff/contracts/{contract_id}/void",
        void,
        Who.MODERATOR,
        "End a contract that is not signed by both",
        RateClass.STAFF,
        body=StaffAction,
        answer=ContractOut,
        key=KeyRule.OPTIONAL,
        errors=(InvalidState,),
    ),
)
