"""A trade from its listing on: offered, countered, agreed, signed by both over the public API."""

import hashlib
from typing import TYPE_CHECKING

import aiohttp

from bloxtr8.dev.play.api import JSON
from bloxtr8.dev.play.contract import Terms
from bloxtr8.dev.play.newcomer import Newcomer, own_experience, until
from bloxtr8.dev.play.trade import Trade
from bloxtr8.sandbox.roblox.world import Transfer

if TYPE_CHECKING:
    from bloxtr8.dev.play.stage import Stage

_TITLE = "Skyline Tycoon, 41k visits"
_CONDITIONS = "Includes 7 days of help with the data stores."


class NegotiatedTrade(Trade):
    """A trade between two newcomers; its contract is made by the market."""

    def __init__(self, stage: "Stage", buyer: Newcomer, seller: Newcomer, price: int) -> None:
        super().__init__(stage, buyer, seller, Terms(price))
        self._newcomer = seller
        self._buyer = buyer
        self._universe_id = 0

    async def list(self, asking: int) -> str:
        """The seller lists their experience; return the listing's id."""
        experience = own_experience(self._stage, self._newcomer, "Skyline Tycoon")
        self._universe_id = experience.universe_id
        body = {
            "universe_id": str(experience.universe_id),
            "title": _TITLE,
            "summary": "Complete tycoon with shop, pets and daily quests.",
            "category": "TYCOON",
            "price": _usd(asking),
        }
        return str((await self._stage.api.post("/listings", self.seller, body))["id"])

    async def negotiate(self, listing_id: str, first: int) -> None:
        """The buyer offers `first`, the seller counters with the price, the buyer accepts."""
        api = self._stage.api
        offer = await api.post(
            f"/listings/{listing_id}/offers", self.buyer, {"amount": _usd(first)}
        )
        counter = await api.post(
            f"/offers/{offer['id']}/counter",
            self.seller,
            {
                "version": offer["version"],
                "amount": _usd(self.terms.price_minor),
                "conditions": _CONDITIONS,
            },
        )
        accepted = await api.post(
            f"/offers/{counter['id']}/accept", self.buyer, {"version": counter["version"]}
        )
        self.contract_id = str(accepted["contract"]["id"])

    async def sign(self) -> None:
        """Both read the document and sign it; returns when the escrow waits for money."""
        await until(self._made, "the contract's document was not made")
        for person in (self.seller, self.buyer):
            contract = await self._contract()
            await self._read(contract)
            body = {"document_sha256": contract["document_sha256"], "consent": True}
            signed = await self._stage.api.post(f"/contracts/{self.contract_id}/sign", person, body)
        assert signed["status"] == "EXECUTED", f"both have signed: {signed['status']}"
        self.escrow_id = str(signed["escrow_id"])
        await self.until("AWAIT_FUNDS")

    async def deliver(self) -> None:
        """The seller hands the experience over at Roblox, and says so."""
        self._stage.stack.stand_ins.roblox.world.transfer(
            self._universe_id, Transfer(to_type="USER", to_id=self._buyer.roblox_id)
        )
        await super().deliver()

    async def _contract(self) -> JSON:
        return await self._stage.api.get(f"/contracts/{self.contract_id}", self.buyer)

    async def _made(self) -> bool:
        return "sign" in (await self._contract())["allowed_actions"]

    async def _read(self, contract: JSON) -> None:
        """Get the document and compare it with the hash that is signed."""
        url = f"{self._stage.stack.settings.web.public_url}/api/v1/contracts/{self.contract_id}/pdf"
        bearer = {"Authorization": f"Bearer {await self.buyer.token()}"}
        async with aiohttp.ClientSession() as http:
            async with http.get(url, headers=bearer, allow_redirects=False) as answer:
                link = answer.headers["Location"]
            async with http.get(link) as answer:
                document = await answer.read()
        assert hashlib.sha256(document).hexdigest() == contract["document_sha256"]


def _usd(minor: int) -> JSON:
    return {"minor": minor, "currency": "USD"}
