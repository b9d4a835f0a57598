"""What runs beside the streams for people: the audit chain, old proofs, broken uploads."""

from bloxtr8.disputes.files import EvidenceFiles
from bloxtr8.market.clockwork import Sweep, forever
from bloxtr8.market.sweeps import ProofSweeper
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.store.audit_chain import Sealer
from bloxtr8.store.objects import ObjectStore

_BROKEN_UPLOADS_EVERY_S = 600.0


def register(app: BloxtrApp) -> None:
    objects = ObjectStore(app.settings.s3)
    app.on_close(objects.close)
    evidence = EvidenceFiles(objects, app.clock)

    async def sweep_uploads() -> None:
        await forever(Sweep("uploads", _BROKEN_UPLOADS_EVERY_S, evidence.sweep))

    app.background("audit_chain", Sealer(app.clock).run)
    app.background("proofs", ProofSweeper(app.clock).run)
    app.background("uploads", sweep_uploads)
