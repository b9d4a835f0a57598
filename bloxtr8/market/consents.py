"""Documents that people agree to, in versions; the current ones count."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from bloxtr8 import ids
from bloxtr8.config import PolicySettings
from bloxtr8.errors import ValidationFailed
from bloxtr8.market import audit
from bloxtr8.market.actors import Actor, Channel
from bloxtr8.market.audit import Deed
from bloxtr8.store.database import Transaction

Document = Literal["TERMS", "PRIVACY", "AGE_18", "ROBLOX_POLICY"]
DOCUMENTS: tuple[Document, ...] = get_args(Document)


@dataclass(frozen=True, slots=True)
class Given:
    """A consent. `new`: it was not there before."""

    row: dict[str, Any]
    new: bool


def current_versions(policy: PolicySettings) -> dict[Document, str]:
    """Return the version of each document that counts now; empty where nobody wrote one."""
    return {
        "TERMS": policy.terms,
        "PRIVACY": policy.privacy,
        "AGE_18": policy.age_18,
        "ROBLOX_POLICY": policy.roblox_policy,
    }


async def missing(tx: Transaction, user_id: UUID, policy: PolicySettings) -> tuple[str, ...]:
    """Return the documents whose current version the user has not agreed to."""
    rows = await tx.fetch("SELECT document, version FROM consents WHERE user_id = $1", user_id)
    agreed = {(row["document"], row["version"]) for row in rows}
    # An unwritten document cannot be agreed to: it is missing for everybody.
    return tuple(
        document
        for document, version in current_versions(policy).items()
        if (document, version) not in agreed
    )


async def give(
    tx: Transaction,
    actor: Actor,
    policy: PolicySettings,
    now: datetime,
    *,
    document: Document,
    version: str,
) -> Given:
    """Keep that the actor agrees; giving it again changes nothing.

    Raises ValidationFailed for a version that is not the current one.
    """
    if not version or current_versions(policy)[document] != version:
        message = "That is not the current version of the document."
        raise ValidationFailed(
            errors=[{"field": "/version", "code": "not_current", "message": message}]
        )
    method = "DISCORD" if actor.channel is Channel.DISCORD else "WEB"
    row = await tx.fetchrow(
        "INSERT INTO consents (id, user_id, document, version, method, ip, interaction_id,"
        " accepted_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)"
        " ON CONFLICT (user_id, document, version) DO NOTHING RETURNING *",
        ids.uuid7(),
        actor.id,
        document,
        version,
        method,
        actor.ip,
        actor.interaction_id,
        now,
    )
    if row is not None:
        deed = Deed("consent.given", audit.on_user(actor.id), data={document: version})
        await audit.record(tx, actor, deed, now)
        return Given(row, new=True)
    earlier = await tx.fetchrow(
        "SELECT * FROM consents WHERE user_id = $1 AND document = $2 AND version = $3",
        actor.id,
        document,
        version,
    )
    assert earlier is not None, "it conflicted with a committed row"
    return Given(earlier, new=False)


async def given_by(tx: Transaction, user_id: UUID) -> list[dict[str, Any]]:
    """Return everything a user agreed to, the latest first."""
    return await tx.fetch(
        "SELECT * FROM consents WHERE user_id = $1 ORDER BY accepted_at DESC, id DESC LIMIT 100",
        user_id,
    )
