"""Calls of providers on their way to the webhooks agent: doubled, shuffled, late, or lost."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import SimpleNamespace
from typing import Any

from agents.webhooks import WebhooksAgent
from bloxtr8 import ids
from bloxtr8.clock import Clock
from bloxtr8.messaging import metadata
from bloxtr8.messaging.handling import Delivery
from bloxtr8.messaging.topics import PAYMENTS_COMMANDS, WEBHOOK_EVENTS, TopicSpec
from bloxtr8.payments.service import PaymentService
from bloxtr8.payments.usdc.custodian_webhooks import name_custodian
from bloxtr8.payments.webhook_signatures import WebhookName, name_stripe, without_secrets
from proto.bloxtr8.common.v1 import common_pb2 as common
from proto.bloxtr8.webhook.v1 import webhook_pb2 as webhook

_COPIES_MAX = 4
_ROUNDS_MAX = 6
_AT_ONCE = 8


class Way(StrEnum):
    """How calls travel."""

    PROMPT = "prompt"
    DUPLICATES = "duplicates"
    ANY_ORDER = "any_order"
    LATE = "late"  # when everything else is over
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Letter:
    due: int
    order: float
    body: bytes


def name_of_stripe(body: bytes) -> tuple[WebhookName, bytes]:
    return name_stripe(body), without_secrets(body)


def name_of_custodian(body: bytes) -> tuple[WebhookName, bytes]:
    named = name_custodian(body)
    return WebhookName(named.event_id, named.about, named.type), body


Namer = Callable[[bytes], tuple[WebhookName, bytes]]


class Post:
    """Hands calls to the real webhooks agent, whose word goes to the payments service.

    What an agent needs of the broker is all that is missing: both are called directly.
    """

    def __init__(
        self, service: PaymentService, clock: Clock, random: Random, way: Way, namer: Namer
    ) -> None:
        self._service = service
        self._clock = clock
        self._random = random
        self._way = way
        self._namer = namer
        self._provider = (
            common.PROVIDER_STRIPE if namer is name_of_stripe else common.PROVIDER_CUSTODIAN
        )
        self._letters: list[Letter] = []
        self._round = 0
        self._over = False
        self.taken = self.delivered = 0
        app: Any = SimpleNamespace(clock=clock, publisher=self)
        table: Any = SimpleNamespace(value_of=lambda _key: None)
        self._agent = WebhooksAgent(app, table)

    async def publish(self, spec: TopicSpec, message: Any) -> None:
        assert spec is PAYMENTS_COMMANDS
        await self._service.handle(message)

    def take(self, event: dict[str, Any]) -> None:
        """Put a call of the provider on its way."""
        self.taken += 1
        if self._way is Way.NEVER and not self._over:
            return
        body = json.dumps(event).encode()
        for _ in range(self._copies()):
            self._letters.append(Letter(self._due(), self._random.random(), body))

    @property
    def is_empty(self) -> bool:
        return not self._letters

    def next_round(self) -> None:
        self._round += 1

    def over(self) -> None:
        """From now on nothing is held back; what was lost stays lost."""
        self._over = True

    async def deliver(self) -> bool:
        """Deliver what is due, several at once; return whether there was anything."""
        due = [e for e in self._letters if self._over or e.due <= self._round]
        self._letters = [e for e in self._letters if not (self._over or e.due <= self._round)]
        if self._way is not Way.PROMPT:
            due.sort(key=lambda letter: letter.order)
        for start in range(0, len(due), _AT_ONCE):
            await asyncio.gather(*(self._hand_over(e.body) for e in due[start : start + _AT_ONCE]))
        return bool(due)

    def _copies(self) -> int:
        if self._way is Way.DUPLICATES:
            return self._random.randint(2, _COPIES_MAX)
        return self._random.choice((1, 1, 2)) if self._way is Way.ANY_ORDER else 1

    def _due(self) -> int:
        if self._way is Way.LATE:
            return 1_000_000
        if self._way in (Way.DUPLICATES, Way.ANY_ORDER):
            return self._round + self._random.randrange(_ROUNDS_MAX)
        return self._round

    async def _hand_over(self, raw: bytes) -> None:
        name, body = self._namer(raw)
        now = self._clock.now()
        message_id = str(ids.derived("webhook", str(self._provider), name.provider_event_id))
        event = webhook.WebhookEvent(
            metadata=metadata.new(common.PRODUCER_WEB, now, message_id=message_id),
            provider=self._provider,
            provider_payment_id=name.provider_payment_id,
            call=webhook.ProviderCall(
                provider_event_id=name.provider_event_id,
                type=name.type,
                raw=body,
                received_at=metadata.timestamp(now),
            ),
        )
        await self._agent.handle(event, _delivery(name))
        self.delivered += 1


def _delivery(name: WebhookName) -> Delivery:
    return Delivery(
        topic=WEBHOOK_EVENTS.name,
        partition=0,
        offset=0,
        key=name.provider_payment_id.encode(),
        value=b"",
        fencing_token=1,
        producer=common.PRODUCER_WEB,
    )
