"""Chainalysis' free sanctions screening.

Source of the request and the answer: Chainalysis' public documentation, "Sanctions API Reference,
Check if an address is sanctioned" (auth-developers.chainalysis.com/sanctions-screening).
"""

from typing import Any

from bloxtr8.clock import Clock
from bloxtr8.config import ScreeningSettings
from bloxtr8.payments.http_json import JsonClient, Limits, NoAnswer, Request
from bloxtr8.payments.screening.risk import Opinion, Risk

PROVIDER = "CHAINALYSIS"
PATH = "/api/v1/address/"
_OK = 200


class ChainalysisScreener:
    provider = PROVIDER

    def __init__(
        self, settings: ScreeningSettings, clock: Clock, limits: Limits | None = None
    ) -> None:
        key = settings.chainalysis_api_key.get_secret_value()
        self._client = JsonClient(
            PROVIDER,
            settings.chainalysis_base,
            {"X-API-Key": key, "Accept": "application/json"},
            clock,
            limits or Limits(total_s=settings.timeout_s),
        )
        self._ready = bool(key)

    async def close(self) -> None:
        await self._client.close()

    async def screen(self, address: str) -> Opinion:
        """Return whether `address` (lower case) is listed; UNKNOWN for anything but an answer.

        Not to be listed is LOW: this provider knows sanctions and nothing else.
        """
        if not self._ready:
            return _unknown("NOT_SET_UP")
        answer = await self._client.ask(Request("screen", "GET", PATH + address))
        if isinstance(answer, NoAnswer):
            return _unknown(answer.reason)
        if answer.status != _OK:
            return _unknown(f"HTTP_{answer.status}", answer.raw)
        found = _identifications(answer.body)
        if found is None:
            return _unknown("UNREADABLE", answer.raw)
        risk = Risk.SANCTIONED if found else Risk.LOW
        return Opinion(PROVIDER, risk, 100 if found else 0, answer.raw)


def _identifications(body: Any) -> list[Any] | None:
    found = body.get("identifications") if isinstance(body, dict) else None
    return found if isinstance(found, list) else None


def _unknown(reason: str, raw: bytes = b"") -> Opinion:
    return Opinion(PROVIDER, Risk.UNKNOWN, None, raw, reason)
