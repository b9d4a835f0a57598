"""Roblox's stand-in: OpenID Connect, experiences, groups, names, pictures, transfers."""

from bloxtr8.sandbox.roblox.server import RobloxStandIn
from bloxtr8.sandbox.roblox.world import Experience, Group, RobloxPersona

__all__ = ["Experience", "Group", "RobloxPersona", "RobloxStandIn"]
