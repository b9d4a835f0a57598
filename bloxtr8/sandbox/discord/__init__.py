"""Discord's stand-in: signing in with OAuth 2.0, profiles, guild members."""

from bloxtr8.sandbox.discord.server import DiscordPersona, DiscordStandIn

__all__ = ["DiscordPersona", "DiscordStandIn"]
