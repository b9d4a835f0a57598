"""One trade, step by step, each step by the person who takes it in life."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bloxtr8.dev.play.api import JSON
from bloxtr8.dev.play.contract import Terms
from bloxtr8.dev.play.people import Person

if TYPE_CHECKING:
    from bloxtr8.dev.play.stage import Stage

_POLL_SECONDS = 0.1
_REACH_SECONDS_MAX = 60.0
_VERDICT = "Both sides were heard; what was shown supports this outcome for both of them."
_STATEMENT = "The game in the group is not the one of the listing: places and passes are missing."


class NotReached(AssertionError):
    """A trade did not come to the state that was waited for."""


class Trade:
    """A trade between `buyer` and `seller`."""

    def __init__(self, stage: "Stage", buyer: Person, seller: Person, terms: Terms) -> None:
        self._stage = stage
        self.buyer = buyer
        self.seller = seller
        self.terms = terms
        self.contract_id = ""
        self.escrow_id = ""
        self.state = ""

    async def sign(self) -> None:
        """Both sign the contract; returns when the escrow waits for the buyer's money."""
        self.contract_id, self.escrow_id = await self._stage.sign(
            self.buyer, self.seller, self.terms
        )
        await self.until("AWAIT_FUNDS")

    async def pay(self, **order: Any) -> None:
        """The buyer opens the pay page and pays; `order` as the stand-in's controls take it."""
        await self.pay_page()
        await self._stage.stripe("POST", f"/escrows/{self.escrow_id}/pay", order)

    async def send(self, amount_minor: int | None = None) -> None:
        """The buyer sends USDC to the trade's address: `amount_minor` of it, else what is due."""
        page = await self.pay_page()
        order = {
            "wallet": self.buyer.wallet,
            "to": page["deposit_address"],
            "amount_minor": amount_minor or page["amount"]["minor"],
        }
        await self._stage.chain("POST", "/pay", order)

    async def confirmed(self) -> None:
        """Return when something of what the buyer sent counts; raises NotReached after 60 s."""
        until = time.monotonic() + _REACH_SECONDS_MAX
        while time.monotonic() < until:
            if (await self.pay_page())["confirmed"]["minor"]:
                return
            await asyncio.sleep(_POLL_SECONDS)
        raise NotReached(f"no deposit of escrow {self.escrow_id} is confirmed")

    async def pay_page(self) -> JSON:
        """Return what the buyer's pay page needs, as soon as the payment is prepared."""
        return await self._stage.eventually(
            lambda: self._stage.api.get(f"/escrows/{self.escrow_id}/payment", self.buyer),
            "payment_not_ready",
            "not_found",
        )

    async def fund(self) -> None:
        """The buyer pays; returns when the money is held."""
        await self.pay()
        await self.until("FUNDS_HELD")

    async def deliver(self) -> None:
        """The seller says that the game was handed over."""
        await self._act("mark-delivered", self.seller, {"method": "GROUP_TRANSFER"})
        await self.until("DELIVERED")

    async def release(self) -> None:
        """The buyer confirms; the payout is on its way."""
        await self._act("release", self.buyer, {"confirm": True})

    async def refund(self) -> None:
        """The seller gives the money back."""
        await self._act("refund", self.seller, {"confirm": True})

    async def cancel(self, by: Person) -> None:
        """One side calls it off before any money has come."""
        await self._act("cancel", by, {"reason": "CHANGED_MIND"})

    async def dispute(self, by: Person, reason: str = "NOT_AS_DESCRIBED") -> None:
        """One side asks staff to decide; returns when the trade is frozen."""
        body = {"reason": reason, "wanted": "REFUND", "statement": _STATEMENT}
        await self._act("dispute", by, body)
        await self.until("DISPUTED")

    async def withdraw_dispute(self, by: Person) -> None:
        await self._act("dispute/withdraw", by, {})

    async def propose(self, by: Person, seller_minor: int) -> str:
        """One side proposes that the seller gets `seller_minor`; return the proposal's id."""
        amount = {"minor": seller_minor, "currency": "USD"}
        await self._act("settlements", by, {"seller_amount": amount})
        return await self.open_proposal()

    async def open_proposal(self) -> str:
        """Return the id of the open settlement proposal once the mirror shows it."""
        until = time.monotonic() + _REACH_SECONDS_MAX
        while time.monotonic() < until:
            settlement = (await self.read()).get("settlement")
            if settlement:
                return str(settlement["id"])
            await asyncio.sleep(_POLL_SECONDS)
        raise NotReached(f"no settlement proposal is open in escrow {self.escrow_id}")

    async def answer(self, by: Person, proposal_id: str, answer: str) -> None:
        """`answer`: accept, reject or withdraw."""
        await self._act(f"settlements/{proposal_id}/{answer}", by, {})

    async def resolve(self, staff: Person, outcome: str, seller_minor: int | None = None) -> None:
        """Staff decide the dispute: RELEASE, REFUND or SPLIT."""
        body: JSON = {"outcome": outcome, "verdict": _VERDICT, "reason": _VERDICT}
        if seller_minor is not None:
            body["seller_amount"] = {"minor": seller_minor, "currency": "USD"}
        await self.staff(staff, "resolve", body)

    async def staff(self, staff: Person, action: str, body: JSON) -> None:
        """A member of staff acts on the trade."""
        reason = {"reason": "Decided after looking at the case together."}
        await self._stage.api.act(f"/staff/escrows/{self.escrow_id}/{action}", staff, reason | body)

    async def charge_back(self) -> str:
        """The buyer's bank takes the payment back; return the bank's case at Stripe."""
        case = await self._stage.stripe("POST", f"/escrows/{self.escrow_id}/dispute", {})
        return str(case["id"])

    async def read(self, by: Person | None = None) -> JSON:
        """Return the escrow as the API shows it."""
        return await self._stage.eventually(
            lambda: self._stage.api.get(f"/escrows/{self.escrow_id}", by or self.buyer),
            "not_found",
        )

    async def read_record(self) -> JSON:
        """Return the escrow from the worker that owns it, not from the mirror."""
        path = f"/escrows/{self.escrow_id}?consistency=stream"
        return await self._stage.api.get(path, self.buyer)

    async def until(self, *states: str) -> JSON:
        """Wait until the trade is in one of `states`; raises NotReached after 60 s."""
        until = time.monotonic() + _REACH_SECONDS_MAX
        while time.monotonic() < until:
            escrow = await self.read()
            self.state = str(escrow["status"])
            if self.state in states:
                return escrow
            await asyncio.sleep(_POLL_SECONDS)
        wanted = " or ".join(states)
        raise NotReached(f"escrow {self.escrow_id} is {self.state}, not {wanted}")

    async def _act(self, action: str, by: Person, body: JSON) -> None:
        await self._stage.api.act(f"/escrows/{self.escrow_id}/{action}", by, body)
