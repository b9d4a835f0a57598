"""What `faust -A app` can be asked about a running system; see docs/CLI.md."""


def register() -> None:
    """Add the commands to Faust's command line; importing them does it."""
    from bloxtr8.cli.inspect import (  # noqa: F401
        checks,
        dead_letters,
        escrows,
        reconciliation,
        timeline,
        topics,
    )
