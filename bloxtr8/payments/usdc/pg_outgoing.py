"""Reserved transactions and the numbers of deposit wallets, in PostgreSQL."""

import json
from collections.abc import Sequence
from typing import Any

from bloxtr8.clock import Clock
from bloxtr8.payments.usdc.outgoing import Outgoing, Stage
from bloxtr8.store import database, staff_tasks
from bloxtr8.store.database import to_json, transaction

# A staff task: whoever has the key can take all that it holds. Before everything else.
KEY_USED_ELSEWHERE = "KEY_USED_ELSEWHERE"
_FIRST = 100
# Advisory locks: nonces of one signer, and numbers, are given one after the other.
_NONCES = 0x626C_6F78
_NUMBERS = 0x626C_6F78_0011
_INSERT = """
INSERT INTO chain_transactions (key, signer, signer_number, nonce, recipient_contract, data,
  value_wei, gas, fee_max_wei, tip_wei, amount_minor, recipient, stage, hashes, sent_block)
SELECT $1, $2::varchar, $3, greatest($4, coalesce(max(t.nonce) + 1, 0)), $5, $6, $7, $8, $9,
  $10, $11, $12, $13, $14, $15
FROM chain_transactions t WHERE t.signer = $2::varchar
ON CONFLICT (key) DO NOTHING
"""
_UPDATE = """
UPDATE chain_transactions SET fee_max_wei = $2, tip_wei = $3, stage = $4, hashes = $5,
  sent_block = $6, signed = $10, updated_at = now()
WHERE key = $1 AND nonce = $7 AND data = $8 AND recipient_contract = $9
  AND stage = $11 AND hashes = $12::jsonb
"""


class PostgresOutgoing:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def reserve(self, wanted: Outgoing, mined_nonce: int) -> Outgoing:
        async with transaction() as tx:
            await tx.lock(_NONCES, wanted.signer)
            await tx.execute(
                _INSERT,
                wanted.key,
                wanted.signer,
                wanted.signer_number,
                mined_nonce,
                wanted.to,
                wanted.data,
                wanted.value_wei,
                wanted.gas,
                wanted.fee_max_wei,
                wanted.tip_wei,
                wanted.amount_minor,
                wanted.recipient,
                wanted.stage.value,
                to_json(list(wanted.hashes)),
                wanted.sent_block,
            )
            row = await tx.fetchrow("SELECT * FROM chain_transactions WHERE key = $1", wanted.key)
        assert row is not None, "it was inserted, or it was there"
        return _outgoing(row)

    async def find(self, key: str) -> Outgoing | None:
        row = await database.fetchrow("SELECT * FROM chain_transactions WHERE key = $1", key)
        return None if row is None else _outgoing(row)

    async def put(self, outgoing: Outgoing, was: Outgoing) -> bool:
        async with transaction() as tx:
            written = await tx.execute(
                _UPDATE,
                outgoing.key,
                outgoing.fee_max_wei,
                outgoing.tip_wei,
                outgoing.stage.value,
                to_json(list(outgoing.hashes)),
                outgoing.sent_block,
                outgoing.nonce,
                outgoing.data,
                outgoing.to,
                outgoing.raw,
                was.stage.value,
                to_json(list(was.hashes)),
            )
        return bool(written)

    async def unfinished(self, limit: int) -> Sequence[Outgoing]:
        rows = await database.fetch(
            # Each signer's first before anybody's second: of many that are stuck, none keeps the
            # other signers from their turn.
            "SELECT * FROM chain_transactions WHERE stage = 'RESERVED'"
            " ORDER BY row_number() OVER (PARTITION BY signer ORDER BY nonce), random() LIMIT $1",
            limit,
        )
        return [_outgoing(row) for row in rows]

    async def starting_with(self, prefix: str) -> Sequence[Outgoing]:
        rows = await database.fetch(
            "SELECT * FROM chain_transactions WHERE starts_with(key, $1) ORDER BY nonce", prefix
        )
        return [_outgoing(row) for row in rows]

    async def report_foreign(self, outgoing: Outgoing) -> None:
        subject = f"{outgoing.signer}:{outgoing.nonce}"
        task = staff_tasks.Task(
            KEY_USED_ELSEWHERE, "chain_transaction", subject, None, priority=_FIRST
        )
        async with transaction() as tx:
            await staff_tasks.open_tasks(tx, [task], self._clock.now())


class PostgresNumbers:
    async def number(self, reference: str) -> int:
        async with transaction() as tx:
            await tx.execute("SELECT pg_advisory_xact_lock($1)", _NUMBERS)
            await tx.execute(
                "INSERT INTO deposit_numbers (number, reference)"
                " SELECT coalesce(max(number) + 1, 0), $1 FROM deposit_numbers"
                " ON CONFLICT (reference) DO NOTHING",
                reference,
            )
            return int(
                await tx.fetchval(
                    "SELECT number FROM deposit_numbers WHERE reference = $1", reference
                )
            )

    async def number_of(self, address: str) -> int | None:
        row = await database.fetchrow(
            "SELECT number FROM deposit_numbers WHERE address = $1", address
        )
        return None if row is None else int(row["number"])

    async def keep_address(self, number: int, address: str) -> None:
        async with transaction() as tx:
            await tx.execute(
                "UPDATE deposit_numbers SET address = $2 WHERE number = $1 AND address IS NULL",
                number,
                address,
            )


def _outgoing(row: dict[str, Any]) -> Outgoing:
    return Outgoing(
        key=row["key"],
        signer=row["signer"],
        signer_number=row["signer_number"],
        nonce=row["nonce"],
        to=row["recipient_contract"],
        data=row["data"],
        value_wei=int(row["value_wei"]),
        gas=row["gas"],
        fee_max_wei=row["fee_max_wei"],
        tip_wei=row["tip_wei"],
        amount_minor=row["amount_minor"],
        recipient=row["recipient"],
        stage=Stage(row["stage"]),
        hashes=tuple(json.loads(row["hashes"])),
        sent_block=row["sent_block"],
        raw=row["signed"],
    )
