"""Making documents: drawn, stored, noted. What is due stands in the contracts' rows.

A desk takes what is due under a lease, so that a process that dies leaves it to another; the
same document made twice is the same bytes under the same key.
"""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from bloxtr8 import telemetry
from bloxtr8.contracts import messages
from bloxtr8.contracts.paper.renderer import Renderer
from bloxtr8.contracts.paper.sheet import RELEASED, NotDrawn, Sheet, Signed
from bloxtr8.contracts.paper.wordings import TemplateChanged
from bloxtr8.contracts.rows import COLUMNS, Row, on_contract, signatures
from bloxtr8.contracts.vault import Vault
from bloxtr8.contracts.voiding import RENDER_TASK
from bloxtr8.errors import UpstreamUnavailable
from bloxtr8.market import clocks, notices
from bloxtr8.market.actors import Actor
from bloxtr8.market.place import Change, Marketplace
from bloxtr8.store import database, staff_tasks
from bloxtr8.store.database import Transaction

# Longer than a document takes, with its time limits.
_LEASE = timedelta(seconds=60)
_TRY_AGAIN_MAX = timedelta(minutes=15)
_TRY_AGAIN_FIRST = timedelta(seconds=5)
_DOUBLINGS_MAX = 10
_BATCH_MAX = 20
_POLL_S = 5.0


class Desk:
    """Makes the documents that are due. Every worker has one."""

    def __init__(
        self, place: Marketplace, vault: Vault, renderer: Renderer, public_url: str
    ) -> None:
        self._place = place
        self._vault = vault
        self._renderer = renderer
        self._verify_url = f"{public_url.rstrip('/')}/verify/"
        self._log = structlog.get_logger(__name__)
        self._due = asyncio.Event()

    def nudge(self) -> None:
        """Look soon: something has become due."""
        self._due.set()

    async def run(self) -> None:
        """Work until cancelled; without the database wait for it."""
        await self._register_wordings()
        while True:
            self._due.clear()
            try:
                while await self.work():
                    pass
            except Exception as error:
                if not database.is_transient(error):
                    raise
                self._log.warning("documents_wait", error=repr(error)[:200])
            try:
                await asyncio.wait_for(self._due.wait(), _POLL_S)
            except TimeoutError:
                continue

    async def work(self) -> int:
        """Make what is due, at most 20 documents; return how many were taken in hand."""
        now = self._place.clock.now()
        taken = await database.fetch(
            "UPDATE contracts SET render_due_at = $1::timestamptz + $2,"  # noqa: S608
            " render_tries = render_tries + 1 WHERE id IN (SELECT id FROM contracts"
            " WHERE render_due_at <= $1 ORDER BY render_due_at LIMIT $3 FOR UPDATE SKIP LOCKED)"
            f" RETURNING {COLUMNS}, render_tries",
            now,
            _LEASE,
            _BATCH_MAX,
        )
        for row in taken:
            await self._make(row)
        return len(taken)

    async def _make(self, row: Row) -> None:
        started = time.monotonic()
        try:
            sheet = await self._sheet(row)
            document = await self._renderer.draw(sheet)
            telemetry.CONTRACT_RENDER_SECONDS.observe(time.monotonic() - started)
            digest = await self._vault.keep(row["id"], document)
        except (NotDrawn, UpstreamUnavailable) as error:
            await self._put_off(row, type(error).__name__, repr(error)[:200])
            return
        except Exception as error:
            if database.is_transient(error):
                raise
            # One contract that cannot be drawn does not stop the others.
            await self._put_off(row, "broken", repr(error)[:200])
            return
        final = bool(sheet.signed)

        async def settle(tx: Transaction) -> None:
            change = Change(tx, Actor.system(), self._place, self._place.clock.now())
            await (_settle_final if final else _settle_draft)(change, row["id"], digest)

        await database.run_in_transaction(settle)

    async def _sheet(self, row: Row) -> Sheet:
        terms: dict[str, Any] = json.loads(row["terms"])
        if row["status"] != "EXECUTED":
            return Sheet(str(row["id"]), row["ref"], terms)
        async with database.transaction() as tx:
            found = await signatures(tx, row["id"])
        draft = row["pdf_sha256"].hex()
        return Sheet(
            contract_id=str(row["id"]),
            ref=row["ref"],
            terms=terms,
            signed=tuple(
                Signed(one["side"], one["method"], one["signed_at"], one["interaction_id"])
                for one in found
            ),
            draft_sha256=draft,
            verify_url=self._verify_url + draft,
        )

    async def _put_off(self, row: Row, reason: str, error: str) -> None:
        telemetry.CONTRACTS_NOT_RENDERED.labels(reason).inc()
        self._log.warning("document_put_off", contract_id=str(row["id"]), error=error)
        pause = _TRY_AGAIN_FIRST * 2 ** min(row["render_tries"] - 1, _DOUBLINGS_MAX)
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE contracts SET render_due_at = $2 WHERE id = $1"
                " AND render_due_at IS NOT NULL",
                row["id"],
                self._place.clock.now() + min(pause, _TRY_AGAIN_MAX),
            )

    async def _register_wordings(self) -> None:
        """Keep which wordings were released; raises TemplateChanged for another one than then."""
        async with database.transaction() as tx:
            for version, sha256 in RELEASED.items():
                await tx.execute(
                    "INSERT INTO contract_templates (version, source_sha256, active_from)"
                    " VALUES ($1, $2, $3) ON CONFLICT (version) DO NOTHING",
                    version,
                    bytes.fromhex(sha256),
                    self._place.clock.now(),
                )
                kept = await tx.fetchval(
                    "SELECT source_sha256 FROM contract_templates WHERE version = $1", version
                )
                if kept.hex() != sha256:
                    raise TemplateChanged(version)


async def _settle_draft(change: Change, contract_id: UUID, digest: bytes) -> None:
    """Note the document that is to be signed; nothing happens where one is noted already."""
    row = await change.tx.fetchrow(
        "UPDATE contracts SET pdf_sha256 = $2, rendered_at = $3, sign_deadline_at = $4,"  # noqa: S608
        " render_due_at = NULL, version = version + 1, updated_at = $3 WHERE id = $1"
        " AND pdf_sha256 IS NULL AND status = 'PENDING_SIGNATURE'"
        f" RETURNING {COLUMNS}",
        contract_id,
        digest,
        change.now,
        change.now + clocks.SIGNING.length,
    )
    if row is None:
        return
    await change.audit(
        "contract.rendered", on_contract(contract_id), data={"document_sha256": digest.hex()}
    )
    event_id = await messages.say(change, row, messages.ready(row))
    await _close_task(change, contract_id)
    notice = notices.Notice("contract_ready", "CONTRACTS", f"contract:{contract_id}")
    readers = [row["buyer_id"], row["seller_id"]]
    await notices.tell(change.tx, event_id, notice, readers, change.now)


async def _settle_final(change: Change, contract_id: UUID, digest: bytes) -> None:
    """Note the document with the signatures."""
    noted = await change.tx.execute(
        "UPDATE contracts SET final_sha256 = $2, render_due_at = NULL, version = version + 1,"
        " updated_at = $3 WHERE id = $1 AND final_sha256 IS NULL AND status = 'EXECUTED'",
        contract_id,
        digest,
        change.now,
    )
    if noted:
        data = {"final_sha256": digest.hex()}
        await change.audit("contract.rendered", on_contract(contract_id), data=data)
        await _close_task(change, contract_id)


async def _close_task(change: Change, contract_id: UUID) -> None:
    subject = (RENDER_TASK, str(contract_id))
    await staff_tasks.close(change.tx, [subject], "RENDERED", change.now)
