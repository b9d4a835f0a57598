"""The demo: whole trades on the embedded stack, observed and verified."""
