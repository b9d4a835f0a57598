"""A person's experiences: found, picked, looked up. What Roblox did not say is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from bloxtr8.clock import Clock
from bloxtr8.errors import NotFound, TierRequired, UpstreamUnavailable, ValidationFailed
from bloxtr8.roblox import details, kept
from bloxtr8.roblox.api import Group, Owner, OwnerType, Page, Refused, RobloxApi
from bloxtr8.roblox.client import ACTION_S, RobloxUnknown
from bloxtr8.roblox.details import Details, Looks
from bloxtr8.store.database import fetchrow

_GROUPS_MAX = 20
_PAGES_MAX = 4


@dataclass(frozen=True, slots=True)
class Found:
    """Experiences. `complete` false: Roblox answered only in part."""

    items: tuple[Details, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Named:
    """An experience as a person names it; exactly one is given."""

    universe_id: int | None = None
    place_id: int | None = None
    url: str | None = None


# Some experiences, and whether they are all there.
_Part = tuple[Sequence[Details], bool]


class Experiences:
    """Pickers and look-ups. Nothing here decides about ownership."""

    def __init__(self, api: RobloxApi, looks: Looks, clock: Clock) -> None:
        self._api = api
        self._looks = looks
        self._clock = clock

    async def of_user(self, user_id: UUID, source: str) -> Found:
        """Return the public experiences of a user's Roblox account or of its groups.

        `source`: USER or GROUPS. Raises TierRequired (nothing linked) and UpstreamUnavailable
        when Roblox says nothing at all.
        """
        roblox_id = await _linked(user_id)
        items: list[Details] = []
        complete = True
        try:
            async with asyncio.timeout(ACTION_S):
                async for part, whole in self._parts(roblox_id, source):
                    items += part
                    complete &= whole
                items = await self._looks.decorated(items)
        except (RobloxUnknown, TimeoutError):
            if not items:
                raise UpstreamUnavailable(retry_after_s=30) from None
            complete = False
        if not items and not complete:
            raise UpstreamUnavailable(retry_after_s=30)
        return Found(tuple({item.universe_id: item for item in items}.values()), complete)

    async def resolve(self, named: Named) -> Details:
        """Return one experience by id, place or address.

        Raises NotFound, ValidationFailed (no address of a place) and UpstreamUnavailable.
        """
        try:
            async with asyncio.timeout(ACTION_S):
                universe_id = await self._universe(named)
                found = await self._seen(universe_id) if universe_id else None
        except (RobloxUnknown, TimeoutError):
            raise UpstreamUnavailable(retry_after_s=30) from None
        if found is None:
            raise NotFound("Roblox knows no such experience.")
        return found

    async def group(self, group_id: int) -> Group:
        """Return a group as it is now; raises NotFound for none, and UpstreamUnavailable."""
        try:
            async with asyncio.timeout(ACTION_S):
                group = await self._api.group(group_id)
        except (RobloxUnknown, TimeoutError):
            raise UpstreamUnavailable(retry_after_s=30) from None
        if isinstance(group, Refused):
            if group.status == 404:
                raise NotFound("Roblox knows no such group.")
            raise UpstreamUnavailable(retry_after_s=30)
        return group

    async def is_member(self, group_id: int, roblox_id: int) -> bool | None:
        """Tell whether somebody is in a group, None when Roblox does not say."""
        try:
            async with asyncio.timeout(ACTION_S):
                role_id = await self._api.role_in(group_id, roblox_id)
        except (RobloxUnknown, TimeoutError):
            return None
        return None if isinstance(role_id, Refused) else role_id is not None

    async def _seen(self, universe_id: int) -> Details | None:
        now = self._clock.now()
        known = await kept.one(universe_id, now)
        if known is not None:
            return known
        found = await self._looks.details(universe_id)
        if found is not None:
            await kept.keep_one(found, now)
        return found

    async def _universe(self, named: Named) -> int | None:
        if named.universe_id is not None:
            return named.universe_id
        place_id = named.place_id or details.place_of(named.url or "")
        if place_id is None:
            entry = {"field": "/url", "code": "no_place", "message": "That is no Roblox game."}
            raise ValidationFailed(errors=[entry])
        return await self._looks.universe_of(place_id)

    async def _parts(self, roblox_id: int, source: str) -> AsyncIterator[_Part]:
        """Yield (experiences, whether that is all) from each list that Roblox has."""
        if source == "USER":
            async for part in self._owned("USER", roblox_id):
                yield part
            return
        groups = await self._groups(roblox_id)
        for group in groups[:_GROUPS_MAX]:
            try:
                async for part in self._owned("GROUP", group.id):
                    yield part
            except RobloxUnknown:
                yield (), False
        if len(groups) > _GROUPS_MAX:
            yield (), False

    async def _groups(self, roblox_id: int) -> Sequence[Owner]:
        now = self._clock.now()
        known = await kept.groups_of(roblox_id, now)
        if known is not None:
            return known
        found = await self._api.groups_of(roblox_id)
        await kept.keep_groups(roblox_id, found, now)
        return found

    async def _owned(self, kind: OwnerType, owner_id: int) -> AsyncIterator[_Part]:
        """Yield an owner's experiences, remembered for ten minutes when they are all there."""
        now = self._clock.now()
        known = await kept.owned(kind, owner_id, now)
        if known is not None:
            yield known, True
            return
        found: list[Details] = []
        async for part, whole in self._pages(kind, owner_id):
            found += part
            yield part, whole
            if not whole:
                return
        await kept.keep_owned(kind, owner_id, found, now)

    async def _pages(self, kind: str, owner_id: int) -> AsyncIterator[_Part]:
        cursor = ""
        for _ in range(_PAGES_MAX):
            page = await self._page(kind, owner_id, cursor)
            cursor = page.next_cursor or ""
            yield _details(page), True
            if not cursor:
                return
        yield (), False

    async def _page(self, kind: str, owner_id: int, cursor: str) -> Page:
        if kind == "USER":
            return await self._api.user_games(owner_id, cursor)
        return await self._api.group_games(owner_id, cursor)


def _details(page: Page) -> Sequence[Details]:
    return [details.of_game(game) for game in page.games]


async def _linked(user_id: UUID) -> int:
    row = await fetchrow(
        "SELECT external_id FROM accounts"
        " WHERE user_id = $1 AND provider = 'ROBLOX' AND unlinked_at IS NULL",
        user_id,
    )
    if row is None:
        raise TierRequired("Link your Roblox account first.", required_tier="TIER_1")
    return int(row["external_id"])
