"""What an experience looks like: put together from what Roblox shows, gaps as None."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from bloxtr8.clock import Clock
from bloxtr8.roblox import cache
from bloxtr8.roblox.api import Game, Owner, OwnerType, Refused, RobloxApi, Universe, id_of
from bloxtr8.roblox.client import ACTION_S, RobloxUnknown

T = TypeVar("T")

_NAMES_KEPT = timedelta(hours=24)
_PICTURES_KEPT = timedelta(hours=24)
_PENDING_KEPT = timedelta(seconds=60)
_PLACES_KEPT = timedelta(days=30)
_BATCH = 50
_HOSTS = frozenset({"roblox.com", "www.roblox.com", "web.roblox.com"})


@dataclass(frozen=True, slots=True)
class Details:
    """An experience. Unknown values are None, never 0."""

    universe_id: int
    name: str
    owner: Owner
    root_place_id: int | None = None
    description: str | None = None
    icon_url: str | None = None
    visibility: str | None = None
    playing: int | None = None
    visits: int | None = None
    favorites: int | None = None
    max_players: int | None = None
    genre: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Looks:
    """Names, pictures and details of experiences."""

    def __init__(self, api: RobloxApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    async def details(self, universe_id: int) -> Details | None:
        """Return the experience as it is now, None when Roblox knows none.

        Raises RobloxUnknown when neither of its two services answers.
        """
        universe, game, failure = await self._asked(universe_id)
        if universe is None and game is None:
            if failure is not None:
                raise failure
            return None
        found = _merged(universe, game)
        return (await self.decorated([found]))[0]

    async def decorated(self, found: Sequence[Details]) -> list[Details]:
        """Return `found` with owners' names and icons, as far as Roblox tells."""
        icons = await _or_nothing(self.icons([item.universe_id for item in found]))
        names = await _or_nothing(self.names([item.owner for item in found]))
        return [
            replace(
                item,
                icon_url=(icons or {}).get(item.universe_id),
                owner=_named(item.owner, names or {}),
            )
            for item in found
        ]

    async def names(self, owners: Sequence[Owner]) -> dict[tuple[OwnerType, int], str]:
        """Return what owners are called; those that Roblox does not name are missing."""
        known = {(owner.type, owner.id): owner.name for owner in owners if owner.name}
        unnamed = [owner for owner in owners if (owner.type, owner.id) not in known]
        users = sorted({owner.id for owner in unnamed if owner.type == "USER"})
        groups = sorted({owner.id for owner in unnamed if owner.type == "GROUP"})
        found: dict[tuple[OwnerType, int], str] = dict(known)
        found |= {("USER", key): name for key, name in (await self._user_names(users)).items()}
        for group_id in groups:
            name = await self._group_name(group_id)
            if name:
                found["GROUP", group_id] = name
        return found

    async def account_created_at(self, user_id: int) -> datetime | None:
        """Return when a Roblox account was made, None when Roblox does not say in time."""
        try:
            async with asyncio.timeout(ACTION_S):
                return await self._api.user_created_at(user_id)
        except (RobloxUnknown, TimeoutError):
            return None

    async def icons(self, universe_ids: Sequence[int]) -> dict[int, str | None]:
        """Return pictures' addresses by universe id."""
        now = self._clock.now()
        kept = await cache.read("ICON", universe_ids, now)
        icons: dict[int, str | None] = {key: value.get("url") for key, value in kept.items()}
        missing = [key for key in dict.fromkeys(universe_ids) if key not in icons]
        for start in range(0, len(missing), _BATCH):
            found = await self._api.icons(missing[start : start + _BATCH])
            done = {key: {"url": url} for key, url in found.items() if url}
            pending = {key: {"url": None} for key, url in found.items() if not url}
            await cache.write("ICON", done, _PICTURES_KEPT, now)
            await cache.write("ICON", pending, _PENDING_KEPT, now)
            icons |= found
        return icons

    async def universe_of(self, place_id: int) -> int | None:
        """Return the experience that a place belongs to; raises RobloxUnknown."""
        now = self._clock.now()
        kept = await cache.read("PLACE", [place_id], now)
        if place_id in kept:
            return int(kept[place_id]["universe_id"])
        found = await self._api.universe_of(place_id)
        if found is not None:
            payload = {place_id: {"universe_id": str(found)}}
            await cache.write("PLACE", payload, _PLACES_KEPT, now)
        return found

    async def _asked(
        self, universe_id: int
    ) -> tuple[Universe | None, Game | None, RobloxUnknown | None]:
        universe: Universe | None = None
        game: Game | None = None
        failure: RobloxUnknown | None = None
        try:
            answer = await self._api.universe(universe_id)
            universe = None if isinstance(answer, Refused) else answer
        except RobloxUnknown as error:
            failure = error
        try:
            game = (await self._api.games([universe_id])).get(universe_id)
        except RobloxUnknown as error:
            failure = error
        return universe, game, failure

    async def _user_names(self, user_ids: list[int]) -> dict[int, str]:
        now = self._clock.now()
        kept = await cache.read("USER", user_ids, now)
        names = {key: str(value["name"]) for key, value in kept.items()}
        missing = [key for key in user_ids if key not in names]
        for start in range(0, len(missing), _BATCH):
            found = await self._api.user_names(missing[start : start + _BATCH])
            payloads = {key: {"name": name} for key, name in found.items()}
            await cache.write("USER", payloads, _NAMES_KEPT, now)
            names |= found
        return names

    async def _group_name(self, group_id: int) -> str | None:
        now = self._clock.now()
        kept = await cache.read("GROUP", [group_id], now)
        if group_id in kept:
            return str(kept[group_id]["name"])
        group = await self._api.group(group_id)
        if isinstance(group, Refused) or not group.name:
            return None
        await cache.write("GROUP", {group_id: {"name": group.name}}, _NAMES_KEPT, now)
        return group.name


def place_of(url: str) -> int | None:
    """Return the place id in an address of roblox.com, None when there is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    segments = [segment for segment in parts.path.split("/") if segment]
    if parts.scheme != "https" or parts.hostname not in _HOSTS:
        return None
    # A language may stand first: /de/games/123/Name
    if "games" not in segments[:2] or segments[-1] == "games":
        return None
    return id_of(segments[segments.index("games") + 1])


def of_game(game: Game) -> Details:
    """Return what the games service says as details."""
    return _merged(None, game)


def _merged(universe: Universe | None, game: Game | None) -> Details:
    """Open Cloud outranks the games service where both speak."""
    base = universe or game
    assert base is not None, "at least one of them answered"
    owner = base.owner
    if (
        game is not None
        and owner.name is None
        and (game.owner.type, game.owner.id)
        == (
            owner.type,
            owner.id,
        )
    ):
        owner = game.owner
    result = Details(
        universe_id=base.id,
        name=base.name,
        owner=owner,
        description=base.description,
        created_at=base.created_at,
        updated_at=base.updated_at,
        # The games service shows public experiences only.
        visibility=universe.visibility if universe else "PUBLIC",
    )
    if game is None:
        return result
    return replace(
        result,
        root_place_id=game.root_place_id,
        playing=game.playing,
        visits=game.visits,
        favorites=game.favorites,
        max_players=game.max_players,
        genre=game.genre,
        created_at=result.created_at or game.created_at,
        updated_at=result.updated_at or game.updated_at,
    )


def _named(owner: Owner, names: dict[tuple[OwnerType, int], str]) -> Owner:
    return replace(owner, name=owner.name or names.get((owner.type, owner.id)))


async def _or_nothing(asked: Awaitable[T]) -> T | None:
    """Return the answer, None when Roblox does not give it: decoration stops nobody."""
    try:
        return await asked
    except RobloxUnknown:
        return None
