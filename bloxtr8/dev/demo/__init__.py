"""The demo: whole trades on the embedded stack, observed and verified."""

from bloxtr8.dev.demo.run import DemoOptions, run_demo

__all__ = ["DemoOptions", "run_demo"]
