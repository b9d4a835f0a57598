"""Screenings in PostgreSQL: what they came to, and the encrypted answers for seven years."""

from collections.abc import Sequence
from datetime import timedelta

from bloxtr8 import ids
from bloxtr8.payments.screening.risk import Risk, Screening
from bloxtr8.payments.screening.service import KEPT_YEARS, KeptAnswer
from bloxtr8.store import database
from bloxtr8.store.database import transaction

_KEPT = timedelta(days=KEPT_YEARS * 366)
_REASON_MAX = 120


class PostgresScreenings:
    async def latest(self, address: str) -> Screening | None:
        row = await database.fetchrow(
            "SELECT * FROM wallet_screenings WHERE address = $1 ORDER BY asked_at DESC, id DESC"
            " LIMIT 1",
            address,
        )
        if row is None:
            return None
        return Screening(
            row["address"], Risk(row["risk"]), row["score"], row["complete"], row["asked_at"]
        )

    async def keep(self, screening: Screening, answers: Sequence[KeptAnswer]) -> None:
        async with transaction() as tx:
            await tx.execute(
                "INSERT INTO wallet_screenings (id, address, risk, score, complete, asked_at)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                ids.uuid7(),
                screening.address,
                screening.risk.value,
                screening.score,
                screening.complete,
                screening.asked_at,
            )
            await tx.executemany(
                "INSERT INTO screening_answers (id, address, provider, risk, score, reason,"
                " asked_at, encrypted, keep_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                [
                    (
                        ids.uuid7(),
                        answer.address,
                        answer.provider,
                        answer.risk.value,
                        answer.score,
                        answer.reason[:_REASON_MAX],
                        answer.asked_at,
                        answer.encrypted,
                        answer.asked_at + _KEPT,
                    )
                    for answer in answers
                ],
            )
