"""Getting reserved transactions mined: signing, sending, offering more, and knowing the end.

Whatever happens, a nonce is used for the one thing that it was reserved for. What is signed is kept
before it leaves, so that a repeated step sends the same bytes: not every signer signs the same
twice.
"""

from dataclasses import dataclass, replace
from typing import Any

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_typing import HexStr
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bloxtr8 import telemetry
from bloxtr8.payments.usdc.chain import Chain, ChainUnavailable, Fees, Rejected
from bloxtr8.payments.usdc.networks import Network
from bloxtr8.payments.usdc.outgoing import HASHES_MAX, Outgoing, OutgoingStore, Stage
from bloxtr8.payments.usdc.policy import View
from bloxtr8.payments.usdc.proofs import Prover, Verdict
from bloxtr8.payments.usdc.wallets import Keys, KeysUnavailable

# Not mined after so many blocks: more is offered.
BUMP_AFTER_BLOCKS = 10
# Nodes take a replacement that offers at least a tenth more.
_BUMP_NUMERATOR, _BUMP_DENOMINATOR = 9, 8

_log = telemetry.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A transaction as it is signed once."""

    fee_max_wei: int
    tip_wei: int


class Sender:
    """All methods raise ChainUnavailable, also when the keys are not to be had; what was reserved
    by then stays reserved."""

    def __init__(
        self,
        store: OutgoingStore,
        keys: Keys,
        prover: Prover,
        network: Network,
        *,
        fee_max_wei: int,
    ) -> None:
        self.store = store
        self._keys = keys
        self.prover = prover
        self._network = network
        self._fee_max_wei = fee_max_wei
        # Keys of those whose nonce was used at the last look, and of those believed to be lost.
        self._suspects: set[str] = set()
        self.foreign: set[str] = set()

    @property
    def chain(self) -> Chain:
        return self.prover.first

    async def address(self, number: int | None) -> str:
        """Return the address of a wallet: None is the hot one, a number that of a deposit."""
        try:
            return await self._keys.address(number)
        except KeysUnavailable as error:
            raise ChainUnavailable(f"keys: {error}") from None

    def offer(self, fees: Fees) -> Version:
        """Return what is offered at the first try: enough for a base fee that doubles."""
        tip = min(fees.tip_wei, self._fee_max_wei)
        return Version(min(2 * fees.base_wei + tip, self._fee_max_wei), tip)

    async def send(self, wanted: Outgoing) -> Outgoing:
        """Reserve a nonce for `wanted`, or find what its key has already, and go on with it."""
        mined = await self.chain.next_nonce(wanted.signer)
        return await self.advance(await self.store.reserve(wanted, mined))

    async def advance(self, outgoing: Outgoing) -> Outgoing:
        """Do the next thing for a reserved transaction, and return how it stands."""
        if outgoing.stage is not Stage.RESERVED:
            return outgoing
        view = await self.prover.view()
        for tx_hash in reversed(outgoing.hashes):
            if await self.chain.receipt(tx_hash) is not None:
                self._clear(outgoing)
                return await self._settle(outgoing, tx_hash)
        if await self.chain.next_nonce(outgoing.signer) > outgoing.nonce:
            await self._suspect(outgoing)
            return outgoing
        self._clear(outgoing)
        return await self._broadcast(await self._version(outgoing, view), outgoing)

    async def _suspect(self, outgoing: Outgoing) -> None:
        """Mined just now, or used by somebody with our key: that is believed at the second look.

        The nodes behind one address are not equally far.
        """
        key = outgoing.key
        if key in self._suspects and key not in self.foreign:
            _log.error("nonce_used", key=key, signer=outgoing.signer, nonce=outgoing.nonce)
            await self.store.report_foreign(outgoing)
            self.foreign.add(key)
        self._suspects.add(key)

    def _clear(self, outgoing: Outgoing) -> None:
        self._suspects.discard(outgoing.key)
        self.foreign.discard(outgoing.key)

    async def _settle(self, outgoing: Outgoing, tx_hash: str) -> Outgoing:
        """Take it as ended once all nodes say so, at the depth that its amount asks for."""
        ended = await self.prover.ended(tx_hash, outgoing.amount_minor)
        if ended is None:
            return outgoing
        if ended and outgoing.recipient:
            verdict = await self.prover.prove_payout(
                tx_hash, outgoing.recipient, outgoing.amount_minor
            )
            if verdict is not Verdict.PROVEN:
                _log.error("payout_without_transfer", key=outgoing.key, verdict=str(verdict))
                return outgoing
        # The version that counts is named last.
        others = tuple(entry for entry in outgoing.hashes if entry != tx_hash)
        stage = Stage.MINED if ended else Stage.REVERTED
        return await self._put(replace(outgoing, stage=stage, hashes=(*others, tx_hash)), outgoing)

    async def _version(self, outgoing: Outgoing, view: View) -> Outgoing:
        """Return it with the fee of the version to send now."""
        if not outgoing.hashes:
            first = self.offer(await self.chain.fees())
            return replace(
                outgoing,
                fee_max_wei=first.fee_max_wei,
                tip_wei=first.tip_wei,
                sent_block=view.latest,
                raw="",
            )
        if view.latest - outgoing.sent_block < BUMP_AFTER_BLOCKS:
            return outgoing
        now = self.offer(await self.chain.fees())
        more = Version(
            max(now.fee_max_wei, _raised(outgoing.fee_max_wei)),
            max(now.tip_wei, _raised(outgoing.tip_wei)),
        )
        if more.fee_max_wei > self._fee_max_wei or len(outgoing.hashes) >= HASHES_MAX:
            _log.warning("fee_at_limit", key=outgoing.key, nonce=outgoing.nonce)
            return outgoing
        return replace(
            outgoing,
            fee_max_wei=more.fee_max_wei,
            tip_wei=min(more.tip_wei, more.fee_max_wei),
            sent_block=view.latest,
            raw="",
        )

    async def _broadcast(self, outgoing: Outgoing, was: Outgoing) -> Outgoing:
        if not outgoing.raw:
            # Kept before it leaves, so that its receipt is found whatever happens next. Of two
            # that sign at once one is kept, and only that one is ever sent.
            outgoing = await self._put(await self._signed(outgoing), was)
        if not outgoing.raw or outgoing.stage is not Stage.RESERVED:
            return outgoing
        try:
            await self.chain.send(bytes.fromhex(outgoing.raw))
        except Rejected as error:
            # Mined meanwhile, or a newer version is waiting, or no wei: the next look tells.
            _log.warning("transaction_rejected", key=outgoing.key, reason=str(error))
        return outgoing

    async def _put(self, outgoing: Outgoing, was: Outgoing) -> Outgoing:
        """Keep it, or return what somebody else has made of it meanwhile."""
        if await self.store.put(outgoing, was):
            return outgoing
        _log.info("somebody_else_went_on", key=outgoing.key, nonce=outgoing.nonce)
        return await self.store.find(outgoing.key) or was

    async def _signed(self, outgoing: Outgoing) -> Outgoing:
        number, fields = outgoing.signer_number, self._fields(outgoing)
        if await self.address(number) != outgoing.signer:
            # The wallet was replaced meanwhile: only who has the old one can end this.
            _log.error("keys_of_another_wallet", key=outgoing.key, signer=outgoing.signer)
            raise ChainUnavailable("keys: they are another's")
        try:
            signature = await self._keys.sign(number, TypedTransaction.from_dict(fields).hash())
        except KeysUnavailable as error:
            raise ChainUnavailable(f"keys: {error}") from None
        fields |= {"v": signature.y_parity, "r": signature.r, "s": signature.s}
        raw = TypedTransaction.from_dict(fields).encode()
        made = "0x" + keccak(raw).hex()
        others = [entry for entry in outgoing.hashes if entry != made]
        return replace(outgoing, raw=raw.hex(), hashes=(*others, made))

    def _fields(self, outgoing: Outgoing) -> dict[str, Any]:
        return {
            "type": 2,
            "chainId": self._network.chain_id,
            "nonce": outgoing.nonce,
            "to": to_checksum_address(outgoing.to),
            "value": outgoing.value_wei,
            "data": HexStr(outgoing.data),
            "gas": outgoing.gas,
            "maxFeePerGas": outgoing.fee_max_wei,
            "maxPriorityFeePerGas": outgoing.tip_wei,
        }


def _raised(wei: int) -> int:
    return wei * _BUMP_NUMERATOR // _BUMP_DENOMINATOR + 1
