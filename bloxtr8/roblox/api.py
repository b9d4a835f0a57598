"""What Roblox's endpoints say, as values. Everything raises RobloxUnknown when it says nothing.

Sources: create.roblox.com/docs/cloud (Open Cloud v2) and the legacy hosts' own documentation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from bloxtr8.outbound import Answer, Unreadable
from bloxtr8.roblox.client import Call, Host, RobloxClient, RobloxUnknown
from bloxtr8.text import tame, tame_lines

OwnerType = Literal["USER", "GROUP"]

ID_MAX = 10**18 - 1
BATCH_MAX = 50
_NAME_MAX = 200
_GENRE_MAX = 60
_DESCRIPTION_MAX = 5_000
_VISIBILITY_MAX = 20
_PLAYERS_MAX = 2**31 - 1
_PICTURE_HOST = ".rbxcdn.com"
_PICTURE_URL_MAX = 512
_PAGES_MAX = 50
_NAMES_MAX = 100
_REFUSED = frozenset({400, 401, 403, 404})


@dataclass(frozen=True, slots=True)
class Owner:
    type: OwnerType
    id: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Universe:
    """An experience as Open Cloud describes it."""

    id: int
    owner: Owner
    name: str
    description: str | None
    visibility: str | None
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Game:
    """An experience as the games service describes it. Unknown values are None."""

    id: int
    root_place_id: int | None
    name: str
    owner: Owner
    description: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    playing: int | None = None
    visits: int | None = None
    favorites: int | None = None
    max_players: int | None = None
    genre: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    games: tuple[Game, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Group:
    id: int
    name: str
    owner_id: int | None
    locked: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """Roblox answered that we may not know, or that there is nothing."""

    status: int


class RobloxApi:
    def __init__(self, client: RobloxClient) -> None:
        self._client = client

    async def universe(self, universe_id: int) -> Universe | Refused:
        """R1: what Open Cloud says of an experience; without a key it refuses (401)."""
        if not self._client.has_key:
            return Refused(401)
        path = f"/cloud/v2/universes/{universe_id}"
        answer = await self._client.ask(Call("universe", Host.UNIVERSES, path, keyed=True))
        if answer.status in _REFUSED:
            return Refused(answer.status)
        return _universe(universe_id, _object(answer))

    async def games(self, universe_ids: Sequence[int]) -> dict[int, Game]:
        """R2: public details by universe id; those that Roblox leaves out are missing."""
        assert len(universe_ids) <= BATCH_MAX, "Roblox takes fifty at once"
        if not universe_ids:
            return {}
        params = {"universeIds": ",".join(map(str, universe_ids))}
        answer = await self._client.ask(Call("games", Host.GAMES, "/v1/games", params))
        found = [_game(row) for row in _rows(answer)]
        return {game.id: game for game in found if game.id in universe_ids}

    async def user_games(self, user_id: int, cursor: str = "") -> Page:
        """R3: a user's public experiences."""
        return await self._page(f"/v2/users/{user_id}/games", cursor, {"sortOrder": "Desc"})

    async def group_games(self, group_id: int, cursor: str = "") -> Page:
        """R4: a group's public experiences."""
        return await self._page(f"/v2/groups/{group_id}/gamesV2", cursor, {})

    async def universe_of(self, place_id: int) -> int | None:
        """R5: the experience that a place belongs to."""
        path = f"/universes/v1/places/{place_id}/universe"
        answer = await self._client.ask(Call("place", Host.APIS, path))
        if answer.status != 200:
            return None
        found = _object(answer).get("universeId")
        return None if found is None else _id(found)

    async def groups_of(self, user_id: int) -> list[Owner]:
        """R6: the groups that a user is in."""
        path = f"/v2/users/{user_id}/groups/roles"
        rows = _rows(await self._client.ask(Call("groups", Host.GROUPS, path)))
        groups = [_mapping(row.get("group")) for row in rows]
        return [Owner("GROUP", _id(group.get("id")), _text(group.get("name"))) for group in groups]

    async def group(self, group_id: int) -> Group | Refused:
        """R7: a group and who owns it."""
        if not self._client.has_key:
            return Refused(401)
        path = f"/cloud/v2/groups/{group_id}"
        answer = await self._client.ask(Call("group", Host.APIS, path, keyed=True))
        if answer.status in _REFUSED:
            return Refused(answer.status)
        body = _object(answer)
        owner = body.get("owner")
        return Group(
            id=group_id,
            name=_text(body.get("displayName")) or "",
            owner_id=_named(owner, "users") if owner else None,
            locked=body.get("locked") is True,
        )

    async def role_in(self, group_id: int, user_id: int) -> int | Refused | None:
        """R8: the id of the user's role in a group, None for no member."""
        if not self._client.has_key:
            return Refused(401)
        path = f"/cloud/v2/groups/{group_id}/memberships"
        params = {"maxPageSize": "1", "filter": f"user == 'users/{user_id}'"}
        answer = await self._client.ask(Call("member", Host.APIS, path, params, keyed=True))
        if answer.status in _REFUSED:
            return Refused(answer.status)
        rows = _list(_object(answer).get("groupMemberships"))
        if not rows:
            return None
        member = _mapping(rows[0])
        if _named(member.get("user"), "users") != user_id:
            raise RobloxUnknown("malformed")
        return _id(str(member.get("role", "")).rpartition("/")[2])

    async def manages_universes(self, group_id: int, role_id: int, token: str) -> bool:
        """R9: whether a role may manage the group's experiences, asked with the person's token."""
        path = f"/cloud/v2/groups/{group_id}/roles/{role_id}"
        answer = await self._client.ask(Call("role", Host.APIS, path, token=token))
        if answer.status != 200:
            return False
        permissions = _object(answer).get("permissions")
        return isinstance(permissions, dict) and permissions.get("manageGroupUniverses") is True

    async def user_names(self, user_ids: Sequence[int]) -> dict[int, str]:
        """R10: names by user id."""
        assert len(user_ids) <= _NAMES_MAX, "Roblox takes a hundred at once"
        if not user_ids:
            return {}
        body = {"userIds": list(user_ids), "excludeBannedUsers": False}
        call = Call("users", Host.USERS, "/v1/users", document=body)
        rows = _rows(await self._client.ask(call))
        return {_id(row.get("id")): name for row in rows if (name := _text(row.get("name")))}

    async def user_created_at(self, user_id: int) -> datetime | None:
        """R10: when a Roblox account was made."""
        answer = await self._client.ask(Call("user", Host.USERS, f"/v1/users/{user_id}"))
        return _moment(_object(answer).get("created")) if answer.status == 200 else None

    async def icons(self, universe_ids: Sequence[int]) -> dict[int, str | None]:
        """R11: pictures of experiences; None while Roblox is still drawing one."""
        params = {
            "universeIds": ",".join(map(str, universe_ids)),
            "size": "512x512",
            "format": "Png",
        }
        return await self._pictures("/v1/games/icons", params, universe_ids)

    async def headshots(self, user_ids: Sequence[int]) -> dict[int, str | None]:
        """R11: pictures of users."""
        params = {"userIds": ",".join(map(str, user_ids)), "size": "150x150", "format": "Png"}
        return await self._pictures("/v1/users/avatar-headshot", params, user_ids)

    async def _pictures(
        self, path: str, params: dict[str, str], wanted: Sequence[int]
    ) -> dict[int, str | None]:
        assert len(wanted) <= BATCH_MAX, "Roblox takes fifty at once"
        if not wanted:
            return {}
        rows = _rows(await self._client.ask(Call("pictures", Host.THUMBNAILS, path, params)))
        return {_id(row.get("targetId")): _picture(row) for row in rows}

    async def _page(self, path: str, cursor: str, extra: dict[str, str]) -> Page:
        params = {"accessFilter": "Public", "limit": str(BATCH_MAX), **extra}
        if cursor:
            params["cursor"] = cursor
        answer = await self._client.ask(Call("list", Host.GAMES, path, params))
        body = _object(answer)
        games = tuple(_game(_mapping(row)) for row in _list(body.get("data"))[:_PAGES_MAX])
        following = body.get("nextPageCursor")
        return Page(games, following if isinstance(following, str) and following else None)


def id_of(text: str) -> int | None:
    """Return the id that a person typed, None when it is none: 1 to 18 digits, not 0."""
    valid = text.isascii() and text.isdigit() and len(text) <= 18
    return int(text) if valid and int(text) > 0 else None


def _universe(universe_id: int, body: dict[str, Any]) -> Universe:
    user, group = body.get("user"), body.get("group")
    if bool(user) == bool(group):
        raise RobloxUnknown("malformed")
    owner = (
        Owner("USER", _named(user, "users")) if user else Owner("GROUP", _named(group, "groups"))
    )
    return Universe(
        id=universe_id,
        owner=owner,
        name=_text(body.get("displayName")) or f"Experience {universe_id}",
        description=_long_text(body.get("description")),
        visibility=_text(body.get("visibility"), _VISIBILITY_MAX),
        created_at=_moment(body.get("createTime")),
        updated_at=_moment(body.get("updateTime")),
    )


def _game(row: dict[str, Any]) -> Game:
    creator, place = _mapping(row.get("creator")), row.get("rootPlace")
    kind = str(creator.get("type", "")).upper()
    if kind not in ("USER", "GROUP"):
        raise RobloxUnknown("malformed")
    root = place.get("id") if isinstance(place, dict) else row.get("rootPlaceId")
    universe_id = _id(row.get("id"))
    return Game(
        id=universe_id,
        root_place_id=_id(root) if root else None,
        name=_text(row.get("name")) or f"Experience {universe_id}",
        owner=Owner(
            "USER" if kind == "USER" else "GROUP",
            _id(creator.get("id")),
            _text(creator.get("name")),
        ),
        description=_long_text(row.get("description")),
        created_at=_moment(row.get("created")),
        updated_at=_moment(row.get("updated")),
        playing=_count(row.get("playing")),
        visits=_count(row.get("visits", row.get("placeVisits"))),
        favorites=_count(row.get("favoritedCount")),
        max_players=_count(row.get("maxPlayers"), _PLAYERS_MAX),
        genre=_text(row.get("genre_l1"), _GENRE_MAX),
    )


def _picture(row: dict[str, Any]) -> str | None:
    """Return the address of a picture that is done and on Roblox's own picture host."""
    url = row.get("imageUrl")
    if row.get("state") != "Completed" or not isinstance(url, str) or len(url) > _PICTURE_URL_MAX:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and (parts.hostname or "").endswith(_PICTURE_HOST)
        return url if good and parts.port is None and parts.username is None else None
    except ValueError:
        return None


def _object(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise RobloxUnknown(f"status_{answer.status}")
    try:
        return answer.object()
    except Unreadable:
        raise RobloxUnknown("malformed") from None


def _rows(answer: Answer) -> list[dict[str, Any]]:
    return [_mapping(row) for row in _list(_object(answer).get("data"))]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RobloxUnknown("malformed")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RobloxUnknown("malformed")
    return value


def _id(value: Any) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else id_of(str(value))
    if number is None or not 0 < number <= ID_MAX:
        raise RobloxUnknown("malformed")
    return number


def _named(value: Any, collection: str) -> int:
    """Return the id in a resource name: `users/7` gives 7."""
    prefix, _, number = str(value).partition("/")
    if prefix != collection:
        raise RobloxUnknown("malformed")
    return _id(number)


def _count(value: Any, most: int = ID_MAX) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= most else None


def _text(value: Any, longest: int = _NAME_MAX) -> str | None:
    return tame(value, longest) or None if isinstance(value, str) else None


def _long_text(value: Any) -> str | None:
    return tame_lines(value, _DESCRIPTION_MAX) if isinstance(value, str) else None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
