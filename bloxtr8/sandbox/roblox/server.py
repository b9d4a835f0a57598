"""Roblox's hosts on one address: Open Cloud, the legacy services, OpenID Connect, controls.

Sources: create.roblox.com/docs/cloud (universes, groups, memberships), and the documentation of
games, groups, users and thumbnails on the legacy hosts.
"""

import hmac
import re
from typing import Any

from aiohttp import web

from bloxtr8.clock import Clock
from bloxtr8.sandbox.grants import Grants, OauthError, Registered, error_response
from bloxtr8.sandbox.orders import read
from bloxtr8.sandbox.roblox.openid import Provider
from bloxtr8.sandbox.roblox.world import (
    Experience,
    Group,
    RobloxPersona,
    Transfer,
    World,
)
from bloxtr8.sandbox.standin import JSON, StandIn, guarded

CLIENT_ID = "2200000000000000001"
CLIENT_SECRET = "roblox-sandbox"  # noqa: S105 - the sandbox's own, worth nothing
API_KEY = "cloud-sandbox"
_FILTER = re.compile(r"user == 'users/(\d{1,18})'")
_BATCH_MAX = 50


class RobloxStandIn(StandIn):
    """Roblox with the users, groups and experiences that were put there."""

    def __init__(self, clock: Clock | None = None, client: Registered | None = None) -> None:
        super().__init__(clock)
        self.world = World()
        self.grants = Grants(client or Registered(CLIENT_ID, CLIENT_SECRET))
        self.openid = Provider(self.world, self.grants, self.clock)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        await super().start(host, port)
        self.openid.origin = self.base_url

    def add_user(self, person: RobloxPersona) -> RobloxPersona:
        self.world.users[person.id] = person
        return person

    def add_group(self, group: Group) -> Group:
        self.world.groups[group.id] = group
        return group

    def add_experience(self, experience: Experience) -> Experience:
        self.world.experiences[experience.universe_id] = experience
        return experience

    def add_routes(self, app: web.Application) -> None:
        self.openid.add_routes(app)
        router = app.router
        router.add_get("/cloud/v2/universes/{id}", self._universe)
        router.add_get("/cloud/v2/groups/{id}", self._group)
        router.add_get("/cloud/v2/groups/{id}/memberships", self._memberships)
        router.add_get("/cloud/v2/groups/{id}/roles/{role}", self._role)
        router.add_get("/universes/v1/places/{id}/universe", self._place)
        router.add_get("/v1/games", self._games)
        router.add_get("/v2/users/{id}/games", self._user_games)
        router.add_get("/v2/groups/{id}/gamesV2", self._group_games)
        router.add_get("/v2/users/{id}/groups/roles", self._group_roles)
        router.add_post("/v1/users", self._users)
        router.add_get("/v1/users/{id}", self._user)
        router.add_get("/v1/games/icons", self._icons)
        router.add_get("/v1/users/avatar-headshot", self._headshots)
        router.add_get("/sandbox/state", guarded(self._state))
        router.add_post("/sandbox/users", guarded(self._add_user))
        router.add_post("/sandbox/groups", guarded(self._add_group))
        router.add_post("/sandbox/experiences", guarded(self._add_experience))
        router.add_post("/sandbox/experiences/{id}/transfer", guarded(self._transfer))

    # --- Open Cloud -------------------------------------------------------------------------

    async def _universe(self, request: web.Request) -> web.Response:
        found = self.world.experiences.get(_id(request))
        if not _has_key(request):
            return _cloud_error(401)
        if found is None:
            return _cloud_error(404)
        if found.refused:
            return _cloud_error(found.refused)
        owner = {"USER": "user", "GROUP": "group"}[found.owner_type]
        return web.json_response(
            {
                "path": f"universes/{found.universe_id}",
                "createTime": found.created.isoformat().replace("+00:00", "Z"),
                "updateTime": found.updated.isoformat().replace("+00:00", "Z"),
                "displayName": found.name,
                "description": found.description,
                owner: f"{owner}s/{found.owner_id}",
                "visibility": "PUBLIC" if found.public else "PRIVATE",
            }
        )

    async def _group(self, request: web.Request) -> web.Response:
        if not _has_key(request):
            return _cloud_error(401)
        group = self.world.groups.get(_id(request))
        if group is None:
            return _cloud_error(404)
        body: JSON = {
            "path": f"groups/{group.id}",
            "displayName": group.name,
            "memberCount": len(group.members) + 1,
            "locked": group.locked,
            "verified": False,
        }
        if group.owner_id is not None:
            body["owner"] = f"users/{group.owner_id}"
        return web.json_response(body)

    async def _memberships(self, request: web.Request) -> web.Response:
        if not _has_key(request):
            return _cloud_error(401)
        group = self.world.groups.get(_id(request))
        asked = _FILTER.fullmatch(request.query.get("filter", ""))
        if group is None or asked is None:
            return _cloud_error(404 if group is None else 400)
        member = self.world.role_in(group, int(asked[1]))
        rows = []
        if member is not None:
            role = f"groups/{group.id}/roles/{member.role_id}"
            rows = [{"path": "", "user": f"users/{asked[1]}", "role": role}]
        return web.json_response({"groupMemberships": rows, "nextPageToken": ""})

    async def _role(self, request: web.Request) -> web.Response:
        try:
            grant = self.grants.of(request)
        except OauthError as error:
            return error_response(error)
        group = self.world.groups.get(_id(request))
        if group is None or "group:read" not in grant.scope.split():
            return _cloud_error(403 if group is not None else 404)
        member = self.world.role_in(group, int(grant.subject))
        if member is None or str(member.role_id) != request.match_info["role"]:
            return _cloud_error(404)
        return web.json_response(
            {
                "path": f"groups/{group.id}/roles/{member.role_id}",
                "displayName": "Role",
                "rank": member.rank,
                "permissions": {"manageGroupUniverses": member.manages_universes},
            }
        )

    # --- legacy hosts -----------------------------------------------------------------------

    async def _place(self, request: web.Request) -> web.Response:
        place_id = _id(request)
        universes = (
            experience.universe_id
            for experience in self.world.experiences.values()
            if experience.root_place_id == place_id
        )
        return web.json_response({"universeId": next(universes, None)})

    async def _games(self, request: web.Request) -> web.Response:
        wanted = _ids(request.query.get("universeIds", ""))
        found = [
            self._game(experience)
            for key in wanted
            if (experience := self.world.experiences.get(key)) and experience.public
        ]
        return web.json_response({"data": found})

    async def _user_games(self, request: web.Request) -> web.Response:
        return self._page(request, self.world.owned_by("USER", _id(request)))

    async def _group_games(self, request: web.Request) -> web.Response:
        return self._page(request, self.world.owned_by("GROUP", _id(request)))

    def _page(self, request: web.Request, owned: list[Experience]) -> web.Response:
        start = int(request.query.get("cursor") or 0)
        limit = int(request.query.get("limit", "10"))
        rows = []
        for experience in owned[start : start + limit]:
            row = self._game(experience)
            row["rootPlace"] = {"id": row.pop("rootPlaceId"), "type": "Place"}
            row["placeVisits"] = row.pop("visits")
            rows.append(row)
        following = str(start + limit) if len(owned) > start + limit else None
        return web.json_response({"data": rows, "nextPageCursor": following})

    def _game(self, experience: Experience) -> JSON:
        return {
            "id": experience.universe_id,
            "rootPlaceId": experience.root_place_id,
            "name": experience.name,
            "description": experience.description,
            "creator": {
                "id": experience.owner_id,
                "name": self.world.owner_name(experience),
                "type": experience.owner_type.capitalize(),
            },
            "created": experience.created.isoformat(),
            "updated": experience.updated.isoformat(),
            "playing": experience.playing,
            "visits": experience.visits,
            "maxPlayers": experience.max_players,
            "favoritedCount": experience.favorites,
            "genre_l1": experience.genre,
        }

    async def _group_roles(self, request: web.Request) -> web.Response:
        user_id = _id(request)
        rows = []
        for group in self.world.groups.values():
            member = self.world.role_in(group, user_id)
            if member is not None:
                role = {"id": member.role_id, "name": "Role", "rank": member.rank}
                rows.append({"group": {"id": group.id, "name": group.name}, "role": role})
        return web.json_response({"data": rows})

    async def _users(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        found = [self.world.users[key] for key in body["userIds"] if key in self.world.users]
        rows = [{"id": p.id, "name": p.name, "displayName": p.display_name} for p in found]
        return web.json_response({"data": rows})

    async def _user(self, request: web.Request) -> web.Response:
        person = self.world.users.get(_id(request))
        if person is None:
            return web.json_response({"errors": [{"code": 3}]}, status=404)
        created = person.created.isoformat()
        return web.json_response({"id": person.id, "name": person.name, "created": created})

    async def _icons(self, request: web.Request) -> web.Response:
        rows = []
        for key in _ids(request.query.get("universeIds", "")):
            experience = self.world.experiences.get(key)
            if experience is not None:
                done = experience.picture == "Completed"
                url = f"https://tr.rbxcdn.com/{key}/512/512/Image/Png" if done else ""
                rows.append({"targetId": key, "state": experience.picture, "imageUrl": url})
        return web.json_response({"data": rows})

    async def _headshots(self, request: web.Request) -> web.Response:
        known = [key for key in _ids(request.query.get("userIds", "")) if key in self.world.users]
        url = "https://tr.rbxcdn.com/{}/150/150/AvatarHeadshot/Png"
        rows = [
            {"targetId": key, "state": "Completed", "imageUrl": url.format(key)} for key in known
        ]
        return web.json_response({"data": rows})

    # --- controls ---------------------------------------------------------------------------

    async def _state(self, _request: web.Request) -> JSON:
        world = self.world
        return {
            "users": [item.model_dump(mode="json") for item in world.users.values()],
            "groups": [item.model_dump(mode="json") for item in world.groups.values()],
            "experiences": [item.model_dump(mode="json") for item in world.experiences.values()],
            "open_tokens": self.grants.open_tokens,
        }

    async def _add_user(self, request: web.Request) -> JSON:
        return self.add_user(await read(request, RobloxPersona)).model_dump(mode="json")

    async def _add_group(self, request: web.Request) -> JSON:
        return self.add_group(await read(request, Group)).model_dump(mode="json")

    async def _add_experience(self, request: web.Request) -> JSON:
        return self.add_experience(await read(request, Experience)).model_dump(mode="json")

    async def _transfer(self, request: web.Request) -> JSON:
        order = await read(request, Transfer)
        return self.world.transfer(_id(request), order).model_dump(mode="json")


def _id(request: web.Request) -> int:
    text = request.match_info["id"]
    return int(text) if text.isdigit() else 0


def _ids(text: str) -> list[int]:
    return [int(part) for part in text.split(",")[:_BATCH_MAX] if part.isdigit()]


def _has_key(request: web.Request) -> bool:
    return hmac.compare_digest(request.headers.get("x-api-key", ""), API_KEY)


def _cloud_error(status: int) -> web.Response:
    code = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
    return web.json_response({"code": code.get(status, "NOT_FOUND"), "message": ""}, status=status)
