"""Bloxtr8: escrow and verification for trades of Roblox games."""
