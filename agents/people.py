"""What runs beside the streams for people: the audit chain, and the end of old proofs."""

from bloxtr8.market.sweeps import ProofSweeper
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.store.audit_chain import Sealer


def register(app: BloxtrApp) -> None:
    app.background("audit_chain", Sealer(app.clock).run)
    app.background("proofs", ProofSweeper(app.clock).run)
