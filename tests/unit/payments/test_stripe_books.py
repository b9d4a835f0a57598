"""What Stripe may answer to reconciliation, and what then must not stop the others' turn."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from bloxtr8.payments.reconciliation.model import ProviderSilent
from bloxtr8.payments.reconciliation.stripe_books import StripeBooks

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LINE = {"id": "txn_1", "type": "charge", "amount": 1, "fee": 0, "currency": "usd", "created": 1}


class Answering:
    """Answers everything with the same object."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        nothing = SimpleNamespace(list_async=None, retrieve_async=None)
        self.v1 = SimpleNamespace(balance=nothing, balance_transactions=nothing, events=nothing)

    async def ask(self, _name: str, _call: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
        return self._answer


@pytest.mark.parametrize(
    "available",
    [
        [{"amount": "12", "currency": "usd"}],
        [{"amount": 12, "currency": None}],
        ["12 usd"],
        "12 usd",
        {"usd": 12},
    ],
)
async def test_a_balance_that_nobody_can_read_is_silence(available: object) -> None:
    books = StripeBooks(Answering({"available": available}))  # type: ignore[arg-type]
    with pytest.raises(ProviderSilent):
        await books.balance()


@pytest.mark.parametrize("wrong", [{"id": None}, {"created": 2**52}, {"amount": "1"}])
async def test_a_statement_that_nobody_can_read_is_silence(wrong: dict[str, object]) -> None:
    books = StripeBooks(Answering({"data": [LINE | wrong], "has_more": True}))  # type: ignore[arg-type]
    with pytest.raises(ProviderSilent):
        async for _ in books.statement(None, NOW):
            pass


@pytest.mark.parametrize("wrong", [{"id": 7}, {"created": 2**52}])
async def test_events_that_nobody_can_read_are_silence(wrong: dict[str, object]) -> None:
    event = {"id": "evt_1", "type": "refund.updated", "created": 1} | wrong
    books = StripeBooks(Answering({"data": [event], "has_more": True}))  # type: ignore[arg-type]
    with pytest.raises(ProviderSilent):
        async for _ in books.calls(NOW, NOW):
            pass
