"""One trade as staff see it: everything that is kept about it in one answer."""

from typing import Any
from uuid import UUID

from bloxtr8.disputes import files, statements
from bloxtr8.store import database
from bloxtr8.store.database import Transaction
from web import answers, operations, people
from web.call import Call
from web.fields import Answer, MoneyOut, Time, money
from web.limits import RateClass
from web.people_answers import Stats
from web.routes import Reply, Route, Who
from web.views.disputes import evidence_out, statement_out
from web.views.escrows import shown

Row = dict[str, Any]
_ROWS_MAX = 200


class PaymentOperationOut(Answer):
    """One effect on the outside, as asked of the provider and answered by it."""

    id: str
    kind: str
    generation: int
    attempts: int
    status: str
    amount: MoneyOut
    provider: str
    provider_ref: str | None
    last_error: str | None
    requested_at: Time
    sent_at: Time | None
    finished_at: Time | None


class ScreeningOut(Answer):
    """What providers together said of a wallet of the trade."""

    address: str
    risk: str
    score: int | None
    complete: bool
    asked_at: Time


class DisputeBrief(Answer):
    id: str
    status: str
    reason: str
    wanted: str | None
    opened_at: Time
    claimed_by: str | None
    outcome: str | None
    closed_at: Time | None


class PersonBrief(Answer):
    """A side of the trade, and how their trades ended so far."""

    side: str
    id: str
    display_name: str
    status: str
    tier: str
    member_since: Time
    stats: Stats


class StaffCase(answers.EscrowOut):
    """`people`: buyer and seller; `commands`: what was asked for; `entries`: of all accounts."""

    people: list[PersonBrief]
    commands: list[answers.OperationOut]
    payments: list[PaymentOperationOut]
    screenings: list[ScreeningOut]
    entries: list[answers.LedgerLine]
    disputes: list[DisputeBrief]
    statements: list[answers.Statement]
    evidence: list[answers.EvidenceOut]


async def read(call: Call) -> Reply:
    """The whole case; its history is in the timeline."""
    escrow_id = UUID(call.trade.escrow.escrow_id)
    escrow = await shown(call, call.trade)
    async with database.transaction() as tx:
        return Reply(await _case(tx, escrow_id, escrow))


async def _case(tx: Transaction, escrow_id: UUID, escrow: answers.EscrowOut) -> StaffCase:
    def rows(sql: str, order: str) -> Any:
        """Return the last rows: however many there are, what is new is among them."""
        last = f"{sql} ORDER BY {order} DESC LIMIT {_ROWS_MAX}"
        return tx.fetch(f"SELECT * FROM ({last}) shown ORDER BY {order}", escrow_id)  # noqa: S608

    return StaffCase(
        **{name: getattr(escrow, name) for name in answers.EscrowOut.model_fields},
        people=[
            await _person(tx, row)
            for row in await tx.fetch(
                "SELECT u.*, CASE WHEN u.id = e.buyer_id THEN 'BUYER' ELSE 'SELLER' END AS side"
                " FROM escrows e JOIN users u ON u.id IN (e.buyer_id, e.seller_id)"
                " WHERE e.id = $1 ORDER BY side",
                escrow_id,
            )
        ],
        commands=[
            operations.render(row)
            for row in await rows("SELECT * FROM operations WHERE escrow_id = $1", "id")
        ],
        payments=[
            _payment(row)
            for row in await rows(
                "SELECT * FROM payment_operations WHERE escrow_id = $1", "requested_at"
            )
        ],
        screenings=[
            ScreeningOut(**row)
            for row in await rows(
                "SELECT address, risk, score, complete, asked_at FROM wallet_screenings"
                " WHERE address IN (SELECT lower(d->'transfer'->>'sender') FROM deposit_accounts a,"
                " jsonb_array_elements(a.deposits) d WHERE a.escrow_id = $1"
                " UNION SELECT lower(destination) FROM payment_operations"
                " WHERE escrow_id = $1)",
                "asked_at",
            )
        ],
        entries=[
            _line(row)
            for row in await rows(
                "SELECT id, occurred_at, transaction_id, kind, account, currency, amount_minor"
                " FROM ledger_entries WHERE escrow_id = $1",
                "id",
            )
        ],
        disputes=[
            _dispute(row)
            for row in await rows("SELECT * FROM disputes WHERE escrow_id = $1", "opened_at")
        ],
        statements=[statement_out(row) for row in await statements.of_escrow(tx, escrow_id)],
        evidence=[evidence_out(row) for row in await files.of_escrow(tx, escrow_id)],
    )


async def _person(tx: Transaction, row: Row) -> PersonBrief:
    return PersonBrief(
        id=str(row["id"]),
        member_since=row["created_at"],
        stats=await people.stats_of(tx, row["id"]),
        **{name: row[name] for name in ("side", "display_name", "status", "tier")},
    )


def _payment(row: Row) -> PaymentOperationOut:
    names = ("kind", "generation", "attempts", "status", "provider", "provider_ref", "last_error")
    times = ("requested_at", "sent_at", "finished_at")
    return PaymentOperationOut(
        id=str(row["operation_id"]),
        amount=money(row["amount_minor"], row["currency"]),
        **{name: row[name] for name in (*names, *times)},
    )


def _line(row: Row) -> answers.LedgerLine:
    return answers.LedgerLine(
        at=row["occurred_at"],
        transaction_id=str(row["transaction_id"]),
        kind=row["kind"],
        account=row["account"],
        amount=money(row["amount_minor"], row["currency"]),
    )


def _dispute(row: Row) -> DisputeBrief:
    names = ("status", "reason", "wanted", "opened_at", "outcome", "closed_at")
    return DisputeBrief(
        id=str(row["id"]),
        claimed_by=str(row["claimed_by"]) if row["claimed_by"] else None,
        **{name: row[name] for name in names},
    )


ROUTES = (
    Route(
        "GET",
        "/api/v1/staff/escrows/{escrow_id}",
        read,
        Who.SUPPORT,
        "One trade, whole",
        RateClass.STAFF,
        answer=StaffCase,
    ),
)
