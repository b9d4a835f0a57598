"""A custodian that speaks the contract of docs/custodian-openapi.json.

Its word is a claim: what it says to have received or sent counts when the chain shows it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import quote

from bloxtr8 import ids, telemetry
from bloxtr8.clock import Clock
from bloxtr8.config import BaseChainSettings, CustodianSettings
from bloxtr8.money import EXPONENTS, Money
from bloxtr8.payments.http_json import Answer, JsonClient, Limits, NoAnswer, Request
from bloxtr8.payments.rails import Absent, Confirmed, Failed, MovementOutcome, Pending, Unknown
from bloxtr8.payments.usdc.custody import DepositAddress, Transfer
from bloxtr8.payments.usdc.deposits import Account, Deposit
from bloxtr8.payments.usdc.networks import lower
from bloxtr8.payments.usdc.proofs import Prover, Verdict
from bloxtr8.payments.usdc.watcher import Arrival

ASSET = "USDC"
_CHAINS = {8453: "base", 84532: "base-sepolia"}
LOCAL_CHAIN = "base-local"
_HASH = re.compile(r"0x[0-9a-f]{64}")
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,15})(\.[0-9]{1,6})?")
_OK = (200, 201)
# The custodian's no about this transfer; any other status says nothing about it.
_REFUSALS = (400, 422)
_CODE_CHARACTERS_MAX = 60

T = TypeVar("T")

_log = telemetry.get_logger(__name__)


class Unreadable(Exception):
    """An answer that is not what the contract says."""


@dataclass(frozen=True, slots=True)
class Credited:
    """A confirmed deposit in the custodian's words."""

    tx_hash: str
    amount_minor: int
    block_number: int


@dataclass(frozen=True, slots=True)
class CustodianTransfer:
    """A transfer in the custodian's words; `tx_hash` is "" until there is a transaction."""

    ref: str
    status: str
    to: str
    amount_minor: int
    tx_hash: str
    failure: str


class HttpCustodian:
    def __init__(
        self,
        settings: CustodianSettings,
        base: BaseChainSettings,
        prover: Prover,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        key = settings.api_key.get_secret_value()
        self._client = JsonClient(
            "CUSTODIAN",
            settings.api_base,
            {"Authorization": f"Bearer {key}"},
            clock,
            limits or Limits(base.connect_timeout_s, base.timeout_s),
        )
        self._chain = _CHAINS.get(base.chain_id, LOCAL_CHAIN)
        self._prover = prover

    async def close(self) -> None:
        await self._client.close()

    async def deposit_address(self, reference: str) -> DepositAddress | Failed | Unknown:
        body = {"chain": self._chain, "asset": ASSET, "reference": reference}
        # The reference makes it the same address; a key of its own for each try, so that an error
        # which the custodian keeps under a key does not stay.
        key = _key(str(ids.uuid7()))
        answer = await self._client.ask(
            Request("address_create", "POST", "/v1/addresses", body, key)
        )
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason)
        if answer.status not in _OK:
            return _refusal(answer)
        try:
            return DepositAddress(_address(answer.body, "address"))
        except Unreadable:
            return Unknown("UNREADABLE")

    async def transfer(self, order: Transfer) -> MovementOutcome:
        body = {
            "from_reference": order.reference,
            "to": order.to,
            "amount": Money(ASSET, order.amount_minor).decimal,
            "asset": ASSET,
            "chain": self._chain,
            "reference": order.operation_id,
        }
        answer = await self._client.ask(
            Request("transfer_create", "POST", "/v1/transfers", body, _key(order.operation_id))
        )
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason)
        if answer.status not in _OK:
            return _refusal(answer)
        return await self._outcome(answer.body)

    async def look_up(self, operation_id: str) -> Confirmed | Pending | Failed | Absent | Unknown:
        found = await self.transfers(operation_id)
        if isinstance(found, Unknown):
            return found
        if len(found) > 1:
            _log.error("custodian_sent_twice", operation_id=operation_id)
            return Unknown("MORE_THAN_ONE")
        return await self._settled(found[0]) if found else Absent()

    async def transfers(self, operation_id: str) -> list[CustodianTransfer] | Unknown:
        """Return what the custodian says it was told to send for an operation."""
        path = f"/v1/transfers?reference={quote(operation_id, safe='')}"
        return await self._listed("transfer_list", path, "transfers", _sent)

    async def credits(self, address: str) -> list[Credited] | Unknown:
        """Return the confirmed deposits to one of its addresses."""
        path = f"/v1/addresses/{address}/deposits"
        found = await self._listed("deposit_list", path, "deposits", _credit)
        if isinstance(found, Unknown):
            return found
        return [entry for entry in found if entry is not None]

    async def arrived(self, account: Account, proven: list[Deposit]) -> Arrival:
        """Ask the custodian, who has to credit what it later is to send."""
        credits = await self.credits(account.address)
        return Arrival.UNKNOWN if isinstance(credits, Unknown) else _compare(credits, proven)

    async def _listed(
        self, name: str, path: str, field: str, read: Callable[[Any], T]
    ) -> list[T] | Unknown:
        answer = await self._client.ask(Request(name, "GET", path))
        if isinstance(answer, NoAnswer):
            return Unknown(answer.reason)
        if answer.status not in _OK:
            return Unknown(f"HTTP_{answer.status}")
        try:
            return [read(entry) for entry in _list(answer.body, field)]
        except Unreadable:
            return Unknown("UNREADABLE")

    async def _outcome(self, body: Any) -> MovementOutcome:
        try:
            return await self._settled(_sent(body))
        except Unreadable:
            return Unknown("UNREADABLE")

    async def _settled(self, sent: CustodianTransfer) -> MovementOutcome:
        if sent.status == "failed":
            # A transaction that was sent and "failed" is one whose receipt says so.
            harmless = not sent.tx_hash or await self._failed_on_chain(sent)
            return Failed(sent.failure[:_CODE_CHARACTERS_MAX]) if harmless else Pending(sent.ref)
        if sent.status != "completed":
            return Pending(sent.ref)
        verdict = await self._prover.prove_payout(sent.tx_hash, sent.to, sent.amount_minor)
        if verdict is Verdict.PROVEN:
            return Confirmed(sent.tx_hash, sent.amount_minor, ASSET, sent.to)
        if verdict is Verdict.GONE:
            _log.warning("completed_transfer_not_on_chain", ref=sent.ref)
        return Pending(sent.ref)

    async def _failed_on_chain(self, sent: CustodianTransfer) -> bool:
        return await self._prover.ended(sent.tx_hash, sent.amount_minor) is False


def _compare(credits: list[Credited], proven: list[Deposit]) -> Arrival:
    """Compare by transaction: the custodian's log indices are those of a block."""
    credited: dict[str, int] = {}
    for credit in credits:
        credited[credit.tx_hash] = credited.get(credit.tx_hash, 0) + credit.amount_minor
    wanted: dict[str, int] = {}
    for deposit in proven:
        tx_hash = deposit.transfer.tx_hash
        wanted[tx_hash] = wanted.get(tx_hash, 0) + deposit.amount_minor
    if any(credited.get(tx_hash, amount) < amount for tx_hash, amount in wanted.items()):
        return Arrival.SHORT
    return Arrival.COMPLETE if wanted.keys() <= credited.keys() else Arrival.UNKNOWN


def _credit(entry: Any) -> Credited | None:
    if _text(entry, "asset") != ASSET or _text(entry, "status") != "confirmed":
        return None
    block = entry.get("block_number")
    if not isinstance(block, int) or isinstance(block, bool) or block < 0:
        raise Unreadable("block_number")
    return Credited(_tx_hash(entry), _minor(entry), block)


def _refusal(answer: Answer) -> Failed | Unknown:
    body = answer.body if isinstance(answer.body, dict) else {}
    error = body.get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    if answer.status in _REFUSALS and code:
        return Failed(code[:_CODE_CHARACTERS_MAX])
    return Unknown(f"HTTP_{answer.status}: {code[:_CODE_CHARACTERS_MAX]}")


def _sent(body: Any) -> CustodianTransfer:
    status = _text(body, "status")
    if status not in ("pending", "completed", "failed"):
        raise Unreadable(status)
    return CustodianTransfer(
        _text(body, "id"),
        status,
        _address(body, "to"),
        _minor(body),
        _tx_hash(body) if status == "completed" or body.get("tx_hash") else "",
        _text(body, "failure_code") if status == "failed" else "",
    )


def _key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


def _list(body: Any, name: str) -> list[Any]:
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise Unreadable(name)
    return found


def _text(body: Any, name: str) -> str:
    found = body.get(name) if isinstance(body, dict) else None
    if not isinstance(found, str) or not found:
        raise Unreadable(name)
    return found


def _address(body: Any, name: str) -> str:
    try:
        return lower(_text(body, name))
    except ValueError:
        raise Unreadable(name) from None


def _tx_hash(body: Any) -> str:
    found = _text(body, "tx_hash").lower()
    if _HASH.fullmatch(found) is None:
        raise Unreadable("tx_hash")
    return found


def _minor(body: Any) -> int:
    text = _text(body, "amount")
    if _AMOUNT.fullmatch(text) is None:
        raise Unreadable("amount")
    try:
        return int(Decimal(text).scaleb(EXPONENTS[ASSET]))
    except InvalidOperation:
        raise Unreadable("amount") from None
