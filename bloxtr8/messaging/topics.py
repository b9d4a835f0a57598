"""The one list of topics: name, key, message, who may write, how long it is kept."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.contracts.v1 import contracts_pb2 as contracts
from proto.bloxtr8.escrow.v1 import commands_pb2 as commands
from proto.bloxtr8.escrow.v1 import events_pb2 as events
from proto.bloxtr8.market.v1 import market_pb2 as market
from proto.bloxtr8.payments.v1 import payments_pb2 as payments
from proto.bloxtr8.webhook.v1 import webhook_pb2 as webhook

DLQ_SUFFIX = ".dlq"
# Above this a message is refused before it is published, and dead-lettered when read.
MESSAGE_BYTES_MAX = 512 * 1024


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `producers` is empty where messages carry no signature."""

    name: str
    message: type[Any]
    key_field: str
    retention: timedelta
    producers: frozenset[int] = frozenset()

    @property
    def signed(self) -> bool:
        return bool(self.producers)

    @property
    def dlq(self) -> str:
        return self.name + DLQ_SUFFIX


ESCROW_COMMANDS = TopicSpec(
    "escrow.commands.v1",
    commands.EscrowCommand,
    "escrow_id",
    timedelta(days=7),
    frozenset(
        {
            common.PRODUCER_BOT,
            common.PRODUCER_WEB,
            common.PRODUCER_DEADLINES,
            common.PRODUCER_CONTRACTS,
            common.PRODUCER_OPERATOR,
        }
    ),
)
ESCROW_EVENTS = TopicSpec("escrow.events.v1", events.EscrowEvent, "escrow_id", timedelta(days=90))
PAYMENTS_COMMANDS = TopicSpec(
    "payments.commands.v1",
    payments.PaymentCommand,
    "escrow_id",
    timedelta(days=7),
    frozenset({common.PRODUCER_ESCROW, common.PRODUCER_WEBHOOKS, common.PRODUCER_OPERATOR}),
)
PAYMENTS_EVENTS = TopicSpec(
    "payments.events.v1",
    payments.PaymentEvent,
    "escrow_id",
    timedelta(days=90),
    frozenset({common.PRODUCER_PAYMENTS}),
)
WEBHOOK_EVENTS = TopicSpec(
    "webhook.events.v1",
    webhook.WebhookEvent,
    "provider_payment_id",
    timedelta(days=90),
    frozenset({common.PRODUCER_WEB, common.PRODUCER_PAYMENTS, common.PRODUCER_OPERATOR}),
)
CONTRACTS_EVENTS = TopicSpec(
    "contracts.events.v1",
    contracts.ContractEvent,
    "contract_id",
    timedelta(days=90),
    frozenset({common.PRODUCER_CONTRACTS}),
)
MARKETPLACE_EVENTS = TopicSpec(
    "marketplace.events.v1",
    market.MarketEvent,
    "subject_id",
    timedelta(days=90),
    frozenset({common.PRODUCER_BOT, common.PRODUCER_WEB, common.PRODUCER_OPERATOR}),
)

TOPICS: tuple[TopicSpec, ...] = (
    ESCROW_COMMANDS,
    ESCROW_EVENTS,
    PAYMENTS_COMMANDS,
    PAYMENTS_EVENTS,
    WEBHOOK_EVENTS,
    CONTRACTS_EVENTS,
    MARKETPLACE_EVENTS,
)
BY_NAME = {spec.name: spec for spec in TOPICS}
DLQ_RETENTION = timedelta(days=30)

# Keyed tables and the topic that each is co-partitioned with.
TABLES = {"escrows": ESCROW_COMMANDS, "provider_refs": WEBHOOK_EVENTS}


def changelog_name(app_id: str, table: str) -> str:
    """Return the changelog topic that Faust uses for `table`."""
    return f"{app_id}-{table}-changelog"
