"""The escrow rules, pure: no Faust, no database, no clock, no network."""

from bloxtr8.escrow.actions import allowed_actions
from bloxtr8.escrow.authority import permits
from bloxtr8.escrow.change import Cause, Context
from bloxtr8.escrow.deadlines import next_wakeup
from bloxtr8.escrow.decide import Decision, Verdict, decide, refuse
from bloxtr8.escrow.evolve import evolve
from bloxtr8.escrow.states import is_terminal

__all__ = [
    "Cause",
    "Context",
    "Decision",
    "Verdict",
    "allowed_actions",
    "decide",
    "evolve",
    "is_terminal",
    "next_wakeup",
    "permits",
    "refuse",
]
