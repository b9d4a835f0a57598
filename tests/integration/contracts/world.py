"""Contracts on a real database and a real object store, drawn in a process of their own."""

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from bloxtr8.config import S3Settings
from bloxtr8.contracts import rows, signing, voiding
from bloxtr8.contracts.clockwork import ContractSweeper
from bloxtr8.contracts.desk import Desk
from bloxtr8.contracts.paper.renderer import Renderer
from bloxtr8.contracts.signing import OwnershipUnproved, Signing
from bloxtr8.contracts.vault import Vault
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.messaging.signatures import Keyring
from bloxtr8.store import database
from bloxtr8.store.objects import ObjectStore
from tests.integration.trading.world import Row, World

REASON = "Looked at it together with a colleague."
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Deal:
    """A contract and its people. `row` as it was when the document was made."""

    seller: Actor
    buyer: Actor
    listing: Row
    row: Row

    @property
    def id(self) -> UUID:
        found: UUID = self.row["id"]
        return found

    @property
    def sha256(self) -> bytes:
        found: bytes = self.row["pdf_sha256"]
        return found


class ContractWorld(World):
    """A marketplace, a desk that makes documents, a vault that keeps them."""

    def __init__(self, keyring: Keyring, s3: S3Settings, renderer: Renderer) -> None:
        super().__init__(keyring)
        self.objects = ObjectStore(s3)
        self.vault = Vault(self.objects, self.clock)
        self.desk = Desk(self.place, self.vault, renderer, "https://bloxtr8.example")
        self.sweeper = ContractSweeper(self.place)

    async def close(self) -> None:
        await self.objects.close()

    async def agreed(self, amount: int = 120_000, tier: str = "TIER_1") -> Deal:
        """Return a contract whose document is still to be made."""
        seller, buyer = await self.person(tier), await self.person(tier)
        listing = await self.listing(seller, price_minor=max(amount, 150_000))
        accepted = await self.accept(seller, await self.offer(buyer, listing, amount))
        return Deal(seller, buyer, listing, await self.row("contracts", accepted.contract["id"]))

    async def ready(self, amount: int = 120_000, tier: str = "TIER_1") -> Deal:
        """Return a contract that waits for both signatures."""
        deal = await self.agreed(amount, tier)
        while await self.desk.work():
            pass
        return replace(deal, row=await self.row("contracts", deal.id))

    async def noted(self) -> Deal:
        """`ready` without the drawing: for tests of what comes after it."""
        deal = await self.agreed()
        now = self.clock.now()
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE contracts SET pdf_sha256 = sha256(id::text::bytea), rendered_at = $2,"
                " sign_deadline_at = $3, render_due_at = NULL WHERE id = $1",
                deal.id,
                now,
                now + 72 * HOUR,
            )
        return replace(deal, row=await self.row("contracts", deal.id))

    async def sign(
        self, actor: Actor, deal: Deal, sha256: bytes | None = None, token: str | None = None
    ) -> Row:
        """Sign as the entry points do: Roblox is asked when the signature is the second."""
        wish = Signing(deal.id, sha256 or deal.sha256, token)
        try:
            return await self.change(actor, lambda change: signing.sign(change, wish))
        except OwnershipUnproved:
            proof = await signing.prove(self.place, deal.id)
        return await self.change(actor, lambda change: signing.sign(change, wish, proof))

    async def link(self, actor: Actor, deal: Deal) -> str:
        return await self.change(actor, lambda change: signing.make_link(change, deal.id))

    async def call_off(self, actor: Actor, deal: Deal) -> Row:
        return await self.change(
            actor, lambda change: voiding.decline(change, deal.id, "Changed my mind.")
        )

    async def contract(self, deal: Deal) -> Row:
        return await self.row("contracts", deal.id)

    async def signatures(self, deal: Deal) -> list[Row]:
        async with database.transaction() as tx:
            return await rows.signatures(tx, deal.id)

    def in_discord(self, actor: Actor) -> Actor:
        return replace(actor, channel=Channel.DISCORD, interaction_id="1234567890", ip=None)

    async def check(self, deal: Deal) -> None:
        """Contract, listing, offer, audit and outbox say the same."""
        row, listing = await self.contract(deal), await self.row("listings", deal.listing["id"])
        offer = await self.row("offers", row["offer_id"])
        said, audited = await self.said(deal.id), await self.audited(deal.id)
        signed = await self.signatures(deal)
        ended = {"PENDING_SIGNATURE": None, "EXECUTED": "executed", "VOID": "voided"}[row["status"]]
        for end in ("executed", "voided"):
            assert said.count(f"contract_{end}") == (end == ended)
            assert audited.count(f"contract.{end}") == (end == ended)
        assert said.count("contract_signed") == audited.count("contract.signed") == len(signed)
        assert (len(signed) == 2) == (row["status"] == "EXECUTED")
        assert all(one["document_sha256"] == row["pdf_sha256"] for one in signed)
        assert offer["status"] == "ACCEPTED"
        assert offer["active"] == (row["status"] != "VOID")
        reserved = listing["reserved_contract_id"] == deal.id
        assert reserved == (row["status"] != "VOID")
        await self.check_outbox()
