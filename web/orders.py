"""Judging a command before it is sent, with the rules that will decide it again."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from bloxtr8.access.identity import StaffRole
from bloxtr8.escrow import Context, decide
from bloxtr8.escrow.decide import Decision, Verdict
from bloxtr8.escrow.lookup import COMMANDS
from bloxtr8.messaging import metadata
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import record_pb2 as record
from proto.bloxtr8.escrow.v1 import types_pb2 as types
from web import present
from web.call import Call
from web.cases import Case
from web.refusals import error_for

_FIELD_OF = {message: field for field, message in COMMANDS.items()}
# Stands for the second member of staff when it is asked what else would be refused.
_SOMEBODY_ELSE = common.Approval(
    user_id="ffffffff-ffff-5fff-bfff-ffffffffffff", staff_role=common.STAFF_ROLE_ADMIN
)


@dataclass(frozen=True, slots=True)
class Order:
    """A command that may be sent. `needs_approval`: not before a second member of staff agrees."""

    command: commands.EscrowCommand
    outcome: Decision
    needs_approval: bool = False


def order(call: Call, body: Message) -> Order:
    """Return the command `body` of the caller about the call's escrow, judged.

    Raises the error that belongs to the rules' refusal.
    """
    role = call.role if call.route.staff else None
    command = commands.EscrowCommand(
        metadata=metadata.new(common.PRODUCER_WEB, call.now, traceparent=call.traceparent),
        escrow_id=call.trade.escrow.escrow_id,
        actor=common.Actor(
            kind=common.ACTOR_KIND_STAFF if role else common.ACTOR_KIND_USER,
            user_id=call.caller.user_id,
            staff_role=role_number(role) if role else common.STAFF_ROLE_UNSPECIFIED,
        ),
        **_body(body),
    )
    if role:
        command.approvals.add(user_id=call.caller.user_id, staff_role=role_number(role))
    return judge(call, call.trade, command)


def role_number(role: StaffRole) -> "common.StaffRole.ValueType":
    """Return the number that messages have for a role."""
    return common.StaffRole.Value(f"STAFF_ROLE_{role.name}")


def judge(call: Call, case: Case, command: commands.EscrowCommand) -> Order:
    """Return `command` with what the rules say to it now; raises their refusal as an error.

    `case` is the escrow that the command is about.
    """
    outcome = _decide(call, case, command)
    if outcome.verdict is Verdict.REFUSED:
        if outcome.code == types.REFUSAL_CODE_APPROVAL_MISSING and call.route.staff:
            return _needing_approval(call, case, command)
        raise _refusal(case, outcome)
    return Order(command, outcome)


def _needing_approval(call: Call, case: Case, command: commands.EscrowCommand) -> Order:
    """Nothing but the approval may be missing: a wrong state is told now, not in three days."""
    approved = commands.EscrowCommand()
    approved.CopyFrom(command)
    approved.approvals.append(_SOMEBODY_ELSE)
    outcome = _decide(call, case, approved)
    if outcome.verdict is Verdict.REFUSED:
        raise _refusal(case, outcome)
    return Order(command, outcome, needs_approval=True)


def _decide(call: Call, case: Case, command: commands.EscrowCommand) -> Decision:
    known = record.EscrowRecord(escrow=case.escrow)
    return decide(known, command, Context(call.now, 0, record.Origin()))


def _refusal(case: Case, outcome: Decision) -> Exception:
    code = present.name(types.RefusalCode, outcome.code)
    status = present.name(types.EscrowState, case.escrow.state)
    return error_for(code, outcome.message, status)


def _body(body: Message) -> dict[str, Any]:
    return {_FIELD_OF[body.DESCRIPTOR.name]: body}
