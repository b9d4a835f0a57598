"""The contracts agent: an executed contract becomes the command that creates its escrow.

Documents are made beside the stream: whatever the drawing or the file store does, the money's
way goes on.
"""

from typing import Any
from uuid import UUID

import structlog

from bloxtr8 import ids
from bloxtr8.contracts.clockwork import ContractSweeper
from bloxtr8.contracts.desk import Desk
from bloxtr8.contracts.paper import wordings
from bloxtr8.contracts.paper.renderer import Renderer
from bloxtr8.contracts.source import executed_contract
from bloxtr8.contracts.vault import Vault
from bloxtr8.market.place import Marketplace
from bloxtr8.messaging import metadata
from bloxtr8.messaging.app import BloxtrApp
from bloxtr8.messaging.handling import Delivery, Refused
from bloxtr8.messaging.topics import CONTRACTS_EVENTS, ESCROW_COMMANDS
from bloxtr8.store.objects import ObjectStore
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.contracts.v1.contracts_pb2 import ContractEvent, ContractExecuted
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands

_log = structlog.get_logger(__name__)
_WANT_A_DOCUMENT = frozenset({"contract_requested", "contract_executed"})


class ContractsAgent:
    def __init__(self, app: BloxtrApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def handle(self, message: Any, delivery: Delivery) -> None:
        """Send CreateEscrow for an executed contract; its ids are derived, so once is enough."""
        assert isinstance(message, ContractEvent)
        if message.WhichOneof("body") in _WANT_A_DOCUMENT:
            self._desk.nudge()
        if not message.HasField("contract_executed"):
            return
        executed = message.contract_executed
        contract = await executed_contract(UUID(message.contract_id), self._app.clock.now())
        if contract is not None and contract.void:
            _log.info("contract_void", contract_id=message.contract_id)
            return
        if contract is None or not contract.says_the_same(executed):
            raise Refused(
                common.DEAD_LETTER_KIND_HANDLER, "the event is not what the contract says"
            )
        if contract.escrow_known:
            _log.info("escrow_known", escrow_id=executed.escrow_id)
            return
        await self._app.publisher.publish(
            ESCROW_COMMANDS, self._command(message, executed, contract)
        )

    def _command(
        self, message: ContractEvent, executed: ContractExecuted, contract: Any
    ) -> commands.EscrowCommand:
        command_id = ids.creation_id_for(message.contract_id)
        return commands.EscrowCommand(
            metadata=metadata.caused_by(
                message.metadata, common.PRODUCER_CONTRACTS, self._app.clock.now(), command_id
            ),
            escrow_id=executed.escrow_id,
            actor=common.Actor(kind=common.ACTOR_KIND_SYSTEM),
            create_escrow=commands.CreateEscrow(
                contract_id=message.contract_id,
                contract_sha256=executed.document_sha256,
                buyer=contract.buyer,
                seller=contract.seller,
                price=executed.price,
                rail=executed.rail,
                network=executed.network,
                delivery_days=executed.delivery_days,
                fee_schedule=executed.fee_schedule,
                payee=contract.payee,
            ),
        )


def register(app: BloxtrApp, place: Marketplace) -> None:
    # Nobody is to sign words that another build of the same version would not print.
    wordings.check_released()
    objects, renderer = ObjectStore(app.settings.s3), Renderer()
    app.on_close(objects.close)
    app.on_close(renderer.close)
    vault = Vault(objects, app.clock)
    desk = Desk(place, vault, renderer, app.settings.web.public_url)
    app.handle(CONTRACTS_EVENTS, ContractsAgent(app, desk).handle, name="contracts")
    app.background("documents", desk.run)
    app.background("contracts", ContractSweeper(place).run)
