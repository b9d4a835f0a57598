"""What runs beside the streams for people: the audit chain, old proofs, broken uploads, exports."""

from datetime import UTC, datetime
from functools import partial

from bloxtr8.access.rotation import rotate
from bloxtr8.config import KeysSettings
from bloxtr8.disputes.files import EvidenceFiles
from bloxtr8.market.chain_heads import ChainHeads
from bloxtr8.market.clockwork import Sweep, forever
from bloxtr8.market.exports import Exports
from bloxtr8.market.sweeps import ProofSweeper
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.store.audit_chain import Sealer
from bloxtr8.store.objects import ObjectStore

_BROKEN_UPLOADS_EVERY_S = 600.0
_EXPORTS_EVERY_S = 5.0
_CHAIN_HEADS_EVERY_S = 300.0
_TOKEN_KEYS_EVERY_S = 3600.0


def register(app: BloxtrApp) -> None:
    objects = ObjectStore(app.settings.s3)
    app.on_close(objects.close)
    evidence = EvidenceFiles(objects, app.clock)

    exports = Exports(objects, app.clock)
    for sweep in (
        Sweep("uploads", _BROKEN_UPLOADS_EVERY_S, evidence.sweep),
        Sweep("exports", _EXPORTS_EVERY_S, exports.work),
        Sweep("chain_heads", _CHAIN_HEADS_EVERY_S, ChainHeads(objects, app.clock).write),
        Sweep("old_exports", _BROKEN_UPLOADS_EVERY_S, exports.sweep),
    ):
        app.background(sweep.name, partial(forever, sweep))
    if app.settings.keys.create:
        keys = Sweep("token_keys", _TOKEN_KEYS_EVERY_S, partial(_rotate, app.settings.keys))
        app.background(keys.name, partial(forever, keys))
    app.background("audit_chain", Sealer(app.clock).run)
    app.background("proofs", ProofSweeper(app.clock).run)


async def _rotate(keys: KeysSettings) -> int:
    """Files have the machine's time, also where business time travels."""
    return len(rotate(keys.directory, datetime.now(UTC)))
