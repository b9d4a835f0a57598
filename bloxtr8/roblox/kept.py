"""Details of experiences remembered for ten minutes, for pickers and look-ups.

Snapshots and ownership never come from here.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from bloxtr8.roblox import cache
from bloxtr8.roblox.api import Owner, OwnerType
from bloxtr8.roblox.details import Details

KEPT = timedelta(minutes=10)
_ONE = "DETAILS"
_OWNED: dict[OwnerType, str] = {"USER": "OWNED_BY_USER", "GROUP": "OWNED_BY_GROUP"}
_GROUPS = "GROUPS_OF"
_TIMES = ("created_at", "updated_at")


async def one(universe_id: int, now: datetime) -> Details | None:
    """Return the experience as it was seen within ten minutes."""
    kept = await cache.read(_ONE, [universe_id], now)
    return _details(kept[universe_id]) if universe_id in kept else None


async def keep_one(found: Details, now: datetime) -> None:
    await cache.write(_ONE, {found.universe_id: _payload(found)}, KEPT, now)


async def owned(kind: OwnerType, owner_id: int, now: datetime) -> Sequence[Details] | None:
    """Return the whole list of an owner's experiences as it was seen within ten minutes."""
    kept = await cache.read(_OWNED[kind], [owner_id], now)
    if owner_id not in kept:
        return None
    return [_details(item) for item in kept[owner_id]["items"]]


async def keep_owned(
    kind: OwnerType, owner_id: int, found: Sequence[Details], now: datetime
) -> None:
    """Remember a list that is known to be whole."""
    payload = {owner_id: {"items": [_payload(item) for item in found]}}
    await cache.write(_OWNED[kind], payload, KEPT, now)


async def groups_of(user_id: int, now: datetime) -> Sequence[Owner] | None:
    """Return the groups that a user is in, as they were seen within ten minutes."""
    kept = await cache.read(_GROUPS, [user_id], now)
    if user_id not in kept:
        return None
    return [Owner("GROUP", int(item["id"]), item["name"]) for item in kept[user_id]["items"]]


async def keep_groups(user_id: int, found: Sequence[Owner], now: datetime) -> None:
    items = [{"id": str(group.id), "name": group.name} for group in found]
    await cache.write(_GROUPS, {user_id: {"items": items}}, KEPT, now)


def _payload(found: Details) -> dict[str, Any]:
    payload = asdict(found)
    for name in _TIMES:
        payload[name] = payload[name].isoformat() if payload[name] else None
    return payload


def _details(payload: dict[str, Any]) -> Details:
    values = dict(payload)
    for name in _TIMES:
        values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    return Details(**values | {"owner": Owner(**values["owner"])})
