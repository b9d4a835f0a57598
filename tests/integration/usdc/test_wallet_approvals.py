"""What an order of staff approves: that movement, to a wallet as they could know it."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from bloxtr8 import ids
from bloxtr8.config import PostgresSettings, Settings
from bloxtr8.messaging import metadata
from bloxtr8.payments.pg_store import PostgresStore
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.usdc.pg_wallets import PostgresWallets
from bloxtr8.store import database
from bloxtr8.store.mirror import Mirror
from bloxtr8.store.operations import Submission, accept
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from tests.integration.payments_bench import KEYRING
from tests.integration.story import Story

# Where the story's payout goes, and where its payments came from.
SELLER, SENDER = "acct_1", "0x" + "5e" * 20
ADMIN = common.Actor(
    kind=common.ACTOR_KIND_STAFF, user_id=str(uuid4()), staff_role=common.STAFF_ROLE_ADMIN
)


class Case(Story):
    """A trade whose orders go to the payments agent's books, its events to the mirror."""

    told = ordered = 0

    async def keep(self) -> None:
        store = PostgresStore(KEYRING.signer(common.PRODUCER_PAYMENTS), self.clock)
        for order in self.orders[self.ordered :]:
            await PaymentService(store, self.clock, lambda: None).handle(order)
        await Mirror(self.clock).apply(self.events[self.told :])
        self.told, self.ordered = len(self.events), len(self.orders)

    async def screened(self, address: str, risk: str) -> None:
        self._context()
        async with database.transaction() as tx:
            await tx.execute(
                "INSERT INTO wallet_screenings (id, address, risk, complete, asked_at)"
                " VALUES ($1, $2, $3, true, $4)",
                ids.uuid7(),
                address,
                risk,
                self.clock.now(),
            )

    def payout_fails(self, times: int = 5) -> None:
        for _ in range(times):
            leg = self.escrow.payout
            self.fact(
                transfer_failed=payments.TransferFailed(
                    operation_id=leg.operation_id,
                    generation=leg.generation,
                    code="WALLET_RISK_MEDIUM",
                    nothing_happened=True,
                )
            )

    def return_fails(self, reference: str, times: int = 5) -> None:
        for _ in range(times):
            (stray,) = [s for s in self.escrow.stray if s.payment_ref == reference]
            self.fact(
                refund_failed=payments.RefundFailed(
                    operation_id=stray.operation_id,
                    generation=stray.generation,
                    code="WALLET_RISK_MEDIUM",
                    nothing_happened=True,
                    kind=payments.OPERATION_KIND_STRAY_REFUND,
                )
            )

    async def staff(self, **body: object) -> None:
        """An ADMIN orders something, and the stream says that it happened."""
        command_id = str(ids.uuid7())
        self._context()
        now = self.clock.now()
        command = commands.EscrowCommand(
            metadata=metadata.new(common.PRODUCER_WEB, now, message_id=command_id),
            escrow_id=self.escrow_id,
            **body,  # type: ignore[arg-type]
        )
        async with database.transaction() as tx:
            await accept(tx, Submission(command, UUID(ADMIN.user_id), "WEB"), now)
        self.tell(ADMIN, command_id, **body)
        await self.keep()

    async def approved(self, operation_id: str, address: str) -> bool:
        return await PostgresWallets(self.clock).is_approved(operation_id, address)


@pytest.fixture
async def case(postgres_dsn: str) -> AsyncIterator[Case]:
    await database.open_database(Settings(postgres=PostgresSettings(dsn=SecretStr(postgres_dsn))))
    made = Case()
    made.create().pay()
    yield made
    await database.close_database()


async def unpaid(case: Case) -> None:
    """Release, and let all tries of the payout fail."""
    case.deliver().release()
    case.payout_fails()
    await case.keep()


async def test_a_retried_payout_may_go_to_the_wallet_that_was_screened(case: Case) -> None:
    await unpaid(case)
    await case.screened(SELLER, "MEDIUM")
    await case.staff(retry_payout=commands.RetryPayout())
    assert await case.approved(case.escrow.payout.operation_id, SELLER)
    await case.screened(SENDER, "MEDIUM")
    assert not await case.approved(case.escrow.payout.operation_id, SENDER)


async def test_the_next_try_of_an_approved_payout_is_approved(case: Case) -> None:
    await unpaid(case)
    await case.screened(SELLER, "MEDIUM")
    await case.staff(retry_payout=commands.RetryPayout())
    first = case.escrow.payout.operation_id
    case.payout_fails(1)
    await case.keep()
    assert case.escrow.payout.operation_id != first
    assert await case.approved(case.escrow.payout.operation_id, SELLER)


async def test_what_nobody_had_screened_was_not_approved(case: Case) -> None:
    await unpaid(case)
    await case.staff(retry_payout=commands.RetryPayout())
    await case.screened(SELLER, "MEDIUM")
    assert not await case.approved(case.escrow.payout.operation_id, SELLER)


async def test_what_turned_out_worse_was_not_approved(case: Case) -> None:
    await unpaid(case)
    await case.screened(SELLER, "MEDIUM")
    await case.staff(retry_payout=commands.RetryPayout())
    await case.screened(SELLER, "HIGH")
    assert not await case.approved(case.escrow.payout.operation_id, SELLER)


async def test_a_retried_return_approves_nothing_else(case: Case) -> None:
    case.stray(700, reference="pi_a").stray(800, reference="pi_b")
    case.return_fails("pi_a")
    await case.keep()
    await case.screened(SENDER, "MEDIUM")
    await case.screened(SELLER, "MEDIUM")
    await case.staff(retry_refund=commands.RetryRefund())
    returns = {stray.payment_ref: stray.operation_id for stray in case.escrow.stray}
    assert await case.approved(returns["pi_a"], SENDER)
    assert not await case.approved(returns["pi_b"], SENDER)
    case.deliver().release()
    await case.keep()
    assert not await case.approved(case.escrow.payout.operation_id, SELLER)
