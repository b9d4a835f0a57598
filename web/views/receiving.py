"""Where the buyer wants the game: the group that it is handed to."""

from uuid import UUID

from bloxtr8.contracts import receiving
from bloxtr8.errors import InvalidState, NotOwner, TierRequired, UpstreamUnavailable
from bloxtr8.market.place import Change
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import contract_present, present
from web.answers import ReceivingGroupOut
from web.call import Call
from web.limits import RateClass
from web.people_requests import GroupCheck
from web.routes import Reply, Route, Who
from web.trading import change_once, told


async def name_group(call: Call) -> Reply:
    """Roblox is asked before the transaction; in a state that is not the right one: nothing."""
    body: GroupCheck = call.body
    state = present.name(types.EscrowState, call.trade.escrow.state)
    if state not in receiving.STATES:
        raise InvalidState(current_status=state)
    escrow_id = UUID(call.trade.escrow.escrow_id)
    sight = await receiving.look(call.deps.market.experiences, escrow_id, int(body.group_id))

    async def work(change: Change) -> Reply:
        row = await receiving.name(change, escrow_id, sight)
        answer = contract_present.receiving_group(row)
        assert answer is not None, "it was just named"
        return told(answer)

    return await change_once(call, work)


ROUTES = (
    Route(
        "PUT",
        "/api/v1/escrows/{escrow_id}/receiving-group",
        name_group,
        Who.BUYER,
        "Name the group that the game is to be handed to",
        RateClass.LOOK_UP,
        body=GroupCheck,
        answer=ReceivingGroupOut,
        errors=(InvalidState, NotOwner, TierRequired, UpstreamUnavailable),
    ),
)
