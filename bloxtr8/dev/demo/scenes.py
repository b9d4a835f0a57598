"""What the demo plays: each scene is one way in which a trade can go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from bloxtr8.access import StaffRole
from bloxtr8.dev.demo.observer import Observer
from bloxtr8.dev.demo.storm import storm
from bloxtr8.dev.play import Stage, Trade, newcomer
from bloxtr8.dev.play.api import ApiProblem
from bloxtr8.dev.play.negotiation import NegotiatedTrade
from bloxtr8.sandbox.chain import wallets

_FUNDING_TIME = timedelta(hours=72, minutes=5)
_KILLED_TRADES = 4
_AFTERMATH_SECONDS = 1.0

Tell = Callable[["Scene", str], None]


@dataclass(slots=True)
class Scene:
    """A part of the script as it is being played."""

    name: str
    ends: str
    disturbs: bool = False
    trades: list[Trade] = field(default_factory=list)
    step: str = "waits"
    failure: str = ""

    @property
    def done(self) -> bool:
        return bool(self.trades) and all(trade.state == self.ends for trade in self.trades)


@dataclass(frozen=True, slots=True)
class Director:
    """What a scene needs: the stage, somebody who watches the topics, somebody to tell."""

    stage: Stage
    observer: Observer
    tell: Tell

    async def trade(self, scene: Scene, price_minor: int) -> Trade:
        """Return a new signed trade of `scene`, waiting for money."""
        self.tell(scene, "both sign the contract")
        trade = await self.stage.trade(price_minor)
        scene.trades.append(trade)
        await trade.sign()
        return trade

    async def usdc_trade(self, scene: Scene, price_minor: int) -> Trade:
        """Return a new signed trade that is paid in USDC, waiting for money."""
        self.tell(scene, "both sign the contract")
        trade = await self.stage.usdc_trade(price_minor)
        scene.trades.append(trade)
        await trade.sign()
        return trade

    async def funded(self, scene: Scene, price_minor: int) -> Trade:
        """Return a new trade whose money is held."""
        trade = await self.trade(scene, price_minor)
        self.tell(scene, "the buyer pays")
        await trade.fund()
        return trade


async def released(director: Director, scene: Scene) -> None:
    trade = await director.funded(scene, 125_000)
    director.tell(scene, "the seller hands the game over")
    await trade.deliver()
    director.tell(scene, "the buyer confirms, the seller is paid")
    await trade.release()
    await trade.until("RELEASED")


async def from_sign_up(director: Director, scene: Scene) -> None:
    """Two people whom nobody knows yet do everything over the public API."""
    stage = director.stage
    director.tell(scene, "two people sign up with Discord and link Roblox")
    seller = await newcomer.arrive(stage, "Mira", 1)
    buyer = await newcomer.arrive(stage, "Tom", 2)
    director.tell(scene, "the seller opens a payout account; a day goes by")
    await newcomer.become_payable(stage, seller)
    trade = NegotiatedTrade(stage, buyer, seller, 125_000)
    scene.trades.append(trade)
    director.tell(scene, "a listing, an offer, a counter-offer, agreed")
    await trade.negotiate(await trade.list(150_000), 110_000)
    director.tell(scene, "both read the contract and sign it")
    await trade.sign()
    director.tell(scene, "the buyer pays, the seller hands the game over")
    await trade.fund()
    await trade.deliver()
    director.tell(scene, "the buyer confirms, the seller is paid")
    await trade.release()
    await trade.until("RELEASED")


async def refunded(director: Director, scene: Scene) -> None:
    trade = await director.funded(scene, 48_000)
    director.tell(scene, "the seller gives the money back")
    await trade.refund()
    await trade.until("REFUNDED")


async def disputed(director: Director, scene: Scene) -> None:
    staff = await director.stage.staff(StaffRole.MODERATOR)
    trade = await director.funded(scene, 300_000)
    await trade.deliver()
    director.tell(scene, "the buyer opens a dispute")
    await trade.dispute(trade.buyer)
    director.tell(scene, "staff split the money: 60 % to the seller")
    await trade.resolve(staff, "SPLIT", 180_000)
    await trade.until("SPLIT")


async def settled(director: Director, scene: Scene) -> None:
    trade = await director.funded(scene, 90_000)
    await trade.deliver()
    director.tell(scene, "the buyer proposes to pay two thirds")
    proposal = await trade.propose(trade.buyer, 60_000)
    director.tell(scene, "the seller accepts")
    await trade.answer(trade.seller, proposal, "accept")
    await trade.until("SPLIT")


async def charged_back(director: Director, scene: Scene) -> None:
    await released(director, scene)
    director.tell(scene, "the buyer's bank takes the payment back")
    (trade,) = scene.trades
    case = await trade.charge_back()
    await director.observer.heard(trade.escrow_id, "chargeback_recorded", times=1)
    director.tell(scene, "the bank decides for the buyer; the seller owes us")
    await director.stage.stripe("POST", f"/disputes/{case}/close", {"won": False})
    await director.observer.heard(trade.escrow_id, "chargeback_recorded", times=2)
    await trade.until("RELEASED")


async def stormy(director: Director, scene: Scene) -> None:
    kafka = director.stage.stack.settings.kafka
    async with storm(kafka, director.observer):
        await released(director, scene)
        director.tell(scene, "the last duplicates arrive")
        await director.observer.quiet(_AFTERMATH_SECONDS, timeout_seconds=20)
    (trade,) = scene.trades
    copies = director.observer.copies(trade.escrow_id)
    once = [topic for topic, counts in copies.items() if min(counts) < 2]
    assert not once, f"not everything was delivered twice: {once}"


async def killed(director: Director, scene: Scene) -> None:
    """Several trades at once; their worker dies between one step and the next."""
    worker = director.stage.stack.workers[-1]
    paid = asyncio.Event()

    async def play(price_minor: int) -> None:
        trade = await director.funded(scene, price_minor)
        paid.set()
        await trade.deliver()
        await trade.release()
        await trade.until("RELEASED")

    async def strike() -> None:
        await paid.wait()
        worker.kill()
        director.tell(scene, f"{worker.name} is killed")
        worker.start()
        await worker.ready()
        director.tell(scene, f"{worker.name} is back")

    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        for number in range(_KILLED_TRADES):
            group.create_task(play(20_000 + 1_000 * number))


async def paid_in_usdc(director: Director, scene: Scene) -> None:
    trade = await director.usdc_trade(scene, 2_500_000)
    director.tell(scene, "the buyer sends 25,000 USDC; they get their blocks and are screened")
    await trade.send()
    await trade.until("FUNDS_HELD")
    await trade.deliver()
    director.tell(scene, "the seller's wallet is screened and paid on the chain")
    await trade.release()
    await trade.until("RELEASED")


async def overpaid_in_usdc(director: Director, scene: Scene) -> None:
    trade = await director.usdc_trade(scene, 1_200_000)
    director.tell(scene, "the buyer sends half a percent too much")
    await trade.send(trade.terms.settle_minor * 1_005 // 1_000)
    await trade.until("FUNDS_HELD")
    await trade.deliver()
    director.tell(scene, "the seller is paid, the buyer gets the excess back")
    await trade.release()
    await trade.until("RELEASED")


async def underpaid_in_usdc(director: Director, scene: Scene) -> None:
    trade = await director.usdc_trade(scene, 1_500_000)
    director.tell(scene, "the buyer sends a third of it, then gives up")
    await trade.send(trade.terms.settle_minor // 3)
    await trade.confirmed()
    await trade.cancel(trade.buyer)
    await trade.until("REFUNDED")


async def sanctioned(director: Director, scene: Scene) -> None:
    admin = await director.stage.staff(StaffRole.ADMIN)
    trade = await director.usdc_trade(scene, 1_800_000)
    await director.stage.screening(str(wallets.named(trade.buyer.wallet).address), "listed")
    director.tell(scene, "the money comes from a sanctioned wallet")
    await trade.send()
    await trade.until("FUNDS_REVIEW")
    director.tell(scene, "it is frozen; not even an admin can send it back")
    try:
        await trade.staff(admin, "funds-review", {"decision": "REJECT"})
        refused = ""
    except ApiProblem as problem:
        refused = problem.code
    assert refused == "on_hold", f"sanctioned money stays: {refused}"


async def never_told(director: Director, scene: Scene) -> None:
    trade = await director.trade(scene, 64_000)
    await trade.pay_page()
    await director.stage.stripe("POST", "/webhooks", {"drop": True})
    director.tell(scene, "the buyer pays; the provider's webhook is never delivered")
    await trade.pay()
    await director.stage.stripe("POST", "/webhooks", {})
    assert (await trade.read())["status"] == "AWAIT_FUNDS", "nobody was told"
    found = await director.stage.reconcile(trade.escrow_id)
    assert found.repairs, "reconciliation finds what was missed"
    director.tell(scene, "reconciliation asks the provider and makes up for it")
    await trade.until("FUNDS_HELD")
    await trade.deliver()
    await trade.release()
    await trade.until("RELEASED")


async def timed_out(director: Director, scene: Scene) -> None:
    trade = await director.trade(scene, 75_000)
    await trade.pay_page()
    director.tell(scene, "nobody pays; 72 hours go by")
    director.stage.travel(_FUNDING_TIME)
    await trade.until("CANCELLED")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the script: `play` must bring every trade of its scene to state `ends`.

    `disturbs`: a worker is killed meanwhile.
    """

    name: str
    ends: str
    play: Callable[[Director, Scene], Awaitable[None]]
    disturbs: bool = False


# Those of one act are played at once. Time travel is last: it ends what is still waiting.
SCRIPT: tuple[tuple[Part, ...], ...] = (
    (
        Part("paid and released", "RELEASED", released),
        Part("refunded by the seller", "REFUNDED", refunded),
        Part("disputed and split", "SPLIT", disputed),
        Part("settled between the two", "SPLIT", settled),
        Part("charged back after release", "RELEASED", charged_back),
    ),
    (
        Part("paid in USDC, above 10,000 USD", "RELEASED", paid_in_usdc),
        Part("overpaid in USDC", "RELEASED", overpaid_in_usdc),
        Part("underpaid in USDC, called off", "REFUNDED", underpaid_in_usdc),
        Part("paid by a sanctioned wallet", "FUNDS_REVIEW", sanctioned),
    ),
    (Part("a webhook that never came", "RELEASED", never_told),),
    (Part("every message delivered twice", "RELEASED", stormy),),
    (Part("worker killed in the middle", "RELEASED", killed, disturbs=True),),
    (Part("two strangers, from sign-up", "RELEASED", from_sign_up),),
    (Part("cancelled by time-out", "CANCELLED", timed_out),),
)
