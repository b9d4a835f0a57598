"""The embedded stack, `bloxtr8 dev` and `bloxtr8 demo`."""
