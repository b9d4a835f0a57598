"""Everybody who may call a route, and one of everything that a path may name."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from joserfc import jwt

from bloxtr8 import ids
from bloxtr8.access import AccessTokens, StaffRole
from bloxtr8.clock import ManualClock
from bloxtr8.sandbox.roblox import Experience, Group, RobloxPersona, RobloxStandIn
from bloxtr8.store import database
from tests.integration.web.world import Someone, World
from web.openapi.parameters import names

CALLERS = (
    "nobody",
    "expired token",
    "wrong audience",
    "user",
    "outsider",
    "frozen",
    "support",
    "moderator",
    "admin",
    "seller",
    "buyer",
)
_ROLES = {
    "support": StaffRole.SUPPORT,
    "moderator": StaffRole.MODERATOR,
    "admin": StaffRole.ADMIN,
}
# Of people and experiences at Roblox; one file's tests share a database and a stand-in.
_roblox_ids = count(600_000_000)
_TRADERS = ("outsider", "frozen", "seller", "buyer")
_LISTING = {
    "title": "Skyline Tycoon, 41k visits",
    "summary": "Complete tycoon with shop, pets and daily quests.",
    "category": "TYCOON",
    "price": {"minor": 150_000, "currency": "USD"},
}


@dataclass
class Cast:
    """`headers` by caller; `parts` are the values of paths' variable parts."""

    world: World
    roblox: RobloxStandIn
    people: dict[str, Someone] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    parts: dict[str, str] = field(default_factory=dict)

    async def assemble(self, path: str) -> "Cast":
        """Bring everybody in, and make the things that `path` names."""
        wanted = frozenset(names(path))
        for name in CALLERS:
            await self._enter(name)
        if wanted & {"escrow_id", "contract_id"}:
            make = self.world.disputed if "dispute" in path else self.world.delivered
            trade = await make(buyer=self.people["buyer"], seller=self.people["seller"])
            self.parts |= {"escrow_id": trade.escrow_id, "contract_id": trade.contract_id}
        if wanted & {"listing_id", "offer_id", "draft_id"}:
            self.parts["listing_id"] = await self._listing()
        if "offer_id" in wanted:
            self.parts["offer_id"] = await self._made(
                f"/api/v1/listings/{self.parts['listing_id']}/offers",
                "buyer",
                {"amount": {"minor": 120_000, "currency": "USD"}},
            )
        if "operation_id" in wanted:
            self.parts["operation_id"] = await self._operation()
        if path.endswith("receiving-group"):
            await self._group()
        if "user_id" in wanted:
            self.parts["user_id"] = (await self.world.person()).id
        return self

    async def _enter(self, name: str) -> None:
        if name == "nobody":
            self.headers[name] = {}
            return
        role = _ROLES.get(name)
        person = self.people[name] = await self.world.person(role)
        if name in _TRADERS:
            await self._make_trader(person)
        if name == "user":
            await _sql("UPDATE users SET tier = 'TIER_0' WHERE id = $1", UUID(person.id))
        if name == "frozen":
            await _sql(
                "UPDATE users SET status = 'FROZEN', status_reason = 'test' WHERE id = $1",
                UUID(person.id),
            )
        self.headers[name] = {"Authorization": f"Bearer {self._token(name, person)}"}

    def _token(self, name: str, person: Someone) -> str:
        if name == "expired token":
            past = ManualClock(self.world.clock.now() - timedelta(minutes=11))
            keys, url = self.world.tokens.keys, self.world.process.settings.web.public_url
            return AccessTokens(keys, url, past).mint(person.session)
        if name == "wrong audience":
            key = self.world.tokens.keys.signing_key
            claims = jwt.decode(person.token, key, algorithms=["ES256"]).claims
            header = {"alg": "ES256", "kid": key.kid}
            return jwt.encode(header, claims | {"aud": "elsewhere"}, key, algorithms=["ES256"])
        return person.token

    async def _make_trader(self, person: Someone) -> None:
        """Give a person both accounts and all consents."""
        number, now = next(_roblox_ids), self.world.clock.now()
        self.roblox.add_user(RobloxPersona(id=number, name=f"Builder{number}", created=now))
        for provider in ("DISCORD", "ROBLOX"):
            await _sql(
                "INSERT INTO accounts (id, user_id, provider, external_id, username, linked_at)"
                " VALUES ($1, $2, $3, $4, 'somebody', $5)",
                ids.uuid7(),
                UUID(person.id),
                provider,
                str(number),
                now,
            )
        policy = self.world.process.settings.policy
        documents = {
            "TERMS": policy.terms,
            "PRIVACY": policy.privacy,
            "AGE_18": policy.age_18,
            "ROBLOX_POLICY": policy.roblox_policy,
        }
        for document, version in documents.items():
            await _sql(
                "INSERT INTO consents (id, user_id, document, version, method, accepted_at)"
                " VALUES ($1, $2, $3, $4, 'WEB', $5)",
                ids.uuid7(),
                UUID(person.id),
                document,
                version,
                now,
            )

    async def _roblox_id(self, name: str) -> int:
        row = await database.fetchrow(
            "SELECT external_id FROM accounts WHERE user_id = $1 AND provider = 'ROBLOX'",
            UUID(self.people[name].id),
        )
        assert row is not None
        return int(row["external_id"])

    async def _group(self) -> None:
        """Give the buyer the group that the documented example names."""
        owner_id = await self._roblox_id("buyer")
        self.roblox.add_group(Group(id=35_111_222, name="Skyline Studio", owner_id=owner_id))

    async def experience(self, owner: str) -> str:
        """Return a new experience at Roblox that `owner` has."""
        owner_id = await self._roblox_id(owner)
        universe_id, now = next(_roblox_ids), self.world.clock.now()
        self.roblox.add_experience(
            Experience(
                universe_id=universe_id,
                root_place_id=universe_id + 10**10,
                name="Skyline Tycoon",
                owner_id=owner_id,
                created=now,
                updated=now,
                visits=41_208,
            )
        )
        return str(universe_id)

    async def _listing(self) -> str:
        body = _LISTING | {"universe_id": await self.experience("seller")}
        return await self._made("/api/v1/listings", "seller", body)

    async def _operation(self) -> str:
        trade = await self.world.delivered(buyer=self.people["buyer"], seller=self.people["seller"])
        return await self._made(f"{trade.path}/release", "buyer", {"confirm": True})

    async def _made(self, path: str, who: str, body: dict[str, Any]) -> str:
        answer = await self.world.post(path, self.people[who], body)
        document = await answer.json()
        assert answer.status in (201, 202), document
        return str(document["id"])


async def _sql(statement: str, *args: Any) -> None:
    async with database.transaction() as tx:
        await tx.execute(statement, *args)
