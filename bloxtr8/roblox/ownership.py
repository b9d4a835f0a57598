"""Whose experience it is: one question, three outcomes."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bloxtr8.roblox.api import Owner, Refused, RobloxApi
from bloxtr8.roblox.client import RobloxUnknown


class Outcome(StrEnum):
    VERIFIED = "VERIFIED"
    NOT_OWNER = "NOT_OWNER"
    UNKNOWN = "UNKNOWN"


class Ownership(StrEnum):
    OWNER = "OWNER"
    ADMIN = "ADMIN"
    DEVELOPER = "DEVELOPER"


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer. `ownership` with VERIFIED only; `retry_after_s` with UNKNOWN only.

    `evidence` is what Roblox said, as ids.
    """

    outcome: Outcome
    ownership: Ownership | None = None
    method: str = "OPEN_CLOUD"
    reason: str | None = None
    group_id: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    retry_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class _Owned:
    """`owner` None: Roblox knows no such experience."""

    owner: Owner | None
    method: str


async def decide(
    api: RobloxApi, roblox_id: int, universe_id: int, proved_groups: Collection[int] = ()
) -> Finding:
    """Return whether the experience is `roblox_id`'s.

    `proved_groups`: groups in which they have lately shown that they manage experiences.
    """
    try:
        owned = await _owner(api, universe_id)
        if owned.owner is None:
            return Finding(Outcome.NOT_OWNER, None, owned.method, "UNIVERSE_NOT_FOUND")
        if owned.owner.type == "USER":
            return _of_user(owned, owned.owner, roblox_id)
        return await _of_group(api, owned, owned.owner.id, roblox_id, proved_groups)
    except RobloxUnknown as unknown:
        return Finding(Outcome.UNKNOWN, reason=unknown.reason, retry_after_s=unknown.retry_after_s)


async def _owner(api: RobloxApi, universe_id: int) -> _Owned:
    """Ask Open Cloud; where it refuses, the games service."""
    universe = await api.universe(universe_id)
    if not isinstance(universe, Refused):
        return _Owned(universe.owner, "OPEN_CLOUD")
    if universe.status == 400:
        raise RobloxUnknown("malformed")
    game = (await api.games([universe_id])).get(universe_id)
    if game is not None:
        return _Owned(game.owner, "GAMES_API")
    if universe.status == 404:
        return _Owned(None, "GAMES_API")
    # Not ours to see, and not public: that says nothing about whose it is.
    raise RobloxUnknown("refused")


def _of_user(owned: _Owned, owner: Owner, roblox_id: int) -> Finding:
    evidence = {"owner_type": "USER", "owner_id": str(owner.id)}
    if owner.id == roblox_id:
        return Finding(Outcome.VERIFIED, Ownership.OWNER, owned.method, evidence=evidence)
    return Finding(Outcome.NOT_OWNER, None, owned.method, "OTHER_USER", evidence=evidence)


async def _of_group(
    api: RobloxApi,
    owned: _Owned,
    group_id: int,
    roblox_id: int,
    proved_groups: Collection[int],
) -> Finding:
    evidence: dict[str, Any] = {"owner_type": "GROUP", "owner_id": str(group_id)}
    group = await api.group(group_id)
    if isinstance(group, Refused):
        raise RobloxUnknown("refused")
    evidence["group_owner_id"] = str(group.owner_id) if group.owner_id else None
    evidence["group_locked"] = group.locked
    ownership: Ownership | None = Ownership.OWNER
    if group.owner_id != roblox_id:
        role_id = await api.role_in(group_id, roblox_id)
        if isinstance(role_id, Refused):
            raise RobloxUnknown("refused")
        evidence["role_id"] = str(role_id) if role_id else None
        ownership = None
        if role_id is not None:
            proved = group_id in proved_groups
            ownership = Ownership.ADMIN if proved else Ownership.DEVELOPER
    if ownership is None:
        reason = "NOT_A_MEMBER"
        return Finding(Outcome.NOT_OWNER, None, owned.method, reason, group_id, evidence)
    return Finding(Outcome.VERIFIED, ownership, owned.method, None, group_id, evidence)
