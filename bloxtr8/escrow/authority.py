"""Which producer may say what: producer → commands and kinds of actors."""

from bloxtr8.escrow.lookup import COMMANDS, ever_allowed
from bloxtr8.escrow.transitions import PARTIES, STAFF
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands

_USER, _STAFF, _SYSTEM = (
    common.ACTOR_KIND_USER,
    common.ACTOR_KIND_STAFF,
    common.ACTOR_KIND_SYSTEM,
)


def _people() -> frozenset[tuple[str, int]]:
    """What users and staff may send, as the table of transitions lists it."""
    users = {(cause, _USER) for cause in COMMANDS if ever_allowed(cause) & PARTIES}
    staff = {(cause, _STAFF) for cause in COMMANDS if ever_allowed(cause) & STAFF}
    return frozenset(users | staff)


_OPERATIONS = ("place_hold", "lift_hold", "extend_deadline")
_PERMITTED: dict[int, frozenset[tuple[str, int]]] = {
    common.PRODUCER_BOT: _people(),
    common.PRODUCER_WEB: _people(),
    common.PRODUCER_DEADLINES: frozenset(
        (cause, _SYSTEM) for cause in ("expire_deadline", "remind_deadline", "archive_escrow")
    ),
    common.PRODUCER_CONTRACTS: frozenset({("create_escrow", _SYSTEM)}),
    common.PRODUCER_OPERATOR: frozenset(
        (cause, kind) for cause in _OPERATIONS for kind in (_SYSTEM, _STAFF)
    ),
}


def permits(producer: int, command: commands.EscrowCommand) -> bool:
    """Tell whether `producer`, whose signature was verified, may send `command`."""
    cause = command.WhichOneof("body")
    return (cause, command.actor.kind) in _PERMITTED.get(producer, frozenset())
