"""The states of an escrow under short names, and the groups that the rules speak of."""

from typing import TYPE_CHECKING, TypeAlias

from proto.bloxtr8.escrow.v1 import types_pb2 as types

if TYPE_CHECKING:
    State: TypeAlias = types.EscrowState.ValueType
else:
    State = int  # the generated module has the type in its stub only

NONE = types.ESCROW_STATE_UNSPECIFIED
AWAIT_FUNDS = types.ESCROW_STATE_AWAIT_FUNDS
FUNDS_REVIEW = types.ESCROW_STATE_FUNDS_REVIEW
FUNDS_HELD = types.ESCROW_STATE_FUNDS_HELD
DELIVERED = types.ESCROW_STATE_DELIVERED
DISPUTED = types.ESCROW_STATE_DISPUTED
CANCELLING = types.ESCROW_STATE_CANCELLING
RELEASING = types.ESCROW_STATE_RELEASING
REFUNDING = types.ESCROW_STATE_REFUNDING
SPLITTING = types.ESCROW_STATE_SPLITTING
RELEASED = types.ESCROW_STATE_RELEASED
REFUNDED = types.ESCROW_STATE_REFUNDED
SPLIT = types.ESCROW_STATE_SPLIT
CANCELLED = types.ESCROW_STATE_CANCELLED

# In the order in which a trade goes through them; pages and tests list them so.
ALL: tuple[State, ...] = (
    AWAIT_FUNDS,
    FUNDS_REVIEW,
    FUNDS_HELD,
    DELIVERED,
    DISPUTED,
    CANCELLING,
    RELEASING,
    REFUNDING,
    SPLITTING,
    RELEASED,
    REFUNDED,
    SPLIT,
    CANCELLED,
)
TERMINAL: frozenset[State] = frozenset({RELEASED, REFUNDED, SPLIT, CANCELLED})
OPEN: tuple[State, ...] = tuple(state for state in ALL if state not in TERMINAL)
# Money has been ordered to leave and the provider has not confirmed all of it.
MOVING: frozenset[State] = frozenset({RELEASING, REFUNDING, SPLITTING})
# The seller was paid, or is being paid.
PAYING_OUT: frozenset[State] = frozenset({RELEASING, RELEASED, SPLITTING, SPLIT})


def name(state: int) -> str:
    """Return e.g. "FUNDS_HELD"."""
    return types.EscrowState.Name(state).removeprefix("ESCROW_STATE_")  # type: ignore[arg-type]


def is_terminal(state: State) -> bool:
    """Tell whether an escrow in `state` has ended."""
    return state in TERMINAL
