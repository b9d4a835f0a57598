"""Roblox: who somebody is there, what is theirs, what it looks like, how risky it is."""
