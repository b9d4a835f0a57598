"""Stand-ins for TRM Labs and Chainalysis that speak their wire protocols."""

from bloxtr8.sandbox.screening.server import ScreeningStandIn

__all__ = ["ScreeningStandIn"]
