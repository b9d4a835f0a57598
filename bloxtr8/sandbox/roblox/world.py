"""Users, groups and experiences of the Roblox stand-in, and handing experiences over."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from bloxtr8.sandbox.orders import Body

Id = Annotated[int, Field(ge=1, lt=10**18)]


class RobloxPersona(Body):
    """`ageless`: their profile does not say when the account was made."""

    id: Id
    name: Annotated[str, Field(min_length=1, max_length=40)]
    display_name: str | None = None
    created: AwareDatetime
    ageless: bool = False


class Member(Body):
    role_id: Id
    rank: Annotated[int, Field(ge=0, le=255)] = 1
    manages_universes: bool = False


class Group(Body):
    """`members`: by user id; the owner is one without being listed."""

    id: Id
    name: str
    owner_id: Id | None = None
    locked: bool = False
    members: dict[Id, Member] = Field(default_factory=dict)


class Experience(Body):
    """`refused`: Open Cloud answers our key with this status."""

    universe_id: Id
    root_place_id: Id
    name: str
    description: str = ""
    owner_type: Literal["USER", "GROUP"] = "USER"
    owner_id: Id
    public: bool = True
    visits: int = 0
    playing: int = 0
    favorites: int = 0
    max_players: int = 30
    genre: str = "Simulation"
    created: AwareDatetime
    updated: AwareDatetime
    picture: Literal["Completed", "Pending", "Blocked"] = "Completed"
    refused: int = 0


class Transfer(Body):
    """Hand an experience to a user or group, at once."""

    to_type: Literal["USER", "GROUP"]
    to_id: Id


class World:
    """Everything there is, by id."""

    def __init__(self) -> None:
        self.users: dict[int, RobloxPersona] = {}
        self.groups: dict[int, Group] = {}
        self.experiences: dict[int, Experience] = {}

    def transfer(self, universe_id: int, order: Transfer) -> Experience:
        """Make somebody else the owner; raises KeyError."""
        moved = self.experiences[universe_id].model_copy(
            update={"owner_type": order.to_type, "owner_id": order.to_id}
        )
        self.experiences[universe_id] = moved
        return moved

    def owned_by(self, owner_type: str, owner_id: int) -> list[Experience]:
        """Return the public experiences of an owner."""
        return [
            experience
            for experience in self.experiences.values()
            if (experience.owner_type, experience.owner_id) == (owner_type, owner_id)
            and experience.public
        ]

    def role_in(self, group: Group, user_id: int) -> Member | None:
        """Return a user's part in a group; its owner has the highest rank."""
        if group.owner_id == user_id:
            return Member(role_id=group.id * 10 + 1, rank=255, manages_universes=True)
        return group.members.get(user_id)

    def owner_name(self, experience: Experience) -> str:
        owners = self.users if experience.owner_type == "USER" else self.groups
        owner = owners.get(experience.owner_id)
        return owner.name if owner is not None else ""
