"""Reconciliation with the providers, by the clock; of all workers one does it."""

from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.payments.reconciliation import wiring


def register(app: BloxtrApp) -> None:
    """Do what is due from start to stop."""
    made = wiring.make(app.settings, app.clock, app.keyring)
    app.background("reconciliation", made.scheduler.run)
    app.on_close(made.close)
