"""TRM Labs Wallet Screening.

Sources of the request and the answer: TRM's public documentation, docs.trmlabs.com (Wallet
Screening, "Screen addresses", POST /public/v2/screening/addresses), and the answers as clients in
the open declare them (threshold-network/token-dashboard, src/types/trm.ts). Risk score levels:
15 Severe, 10 High, 5 Medium, 1 Low, 0 Unknown, as in docs.chain.link/ace (TRM risk levels).
"""

import base64
from typing import Any

from bloxtr8.clock import Clock
from bloxtr8.config import ScreeningSettings
from bloxtr8.payments.http_json import Answer, JsonClient, Limits, NoAnswer, Request
from bloxtr8.payments.screening.risk import Opinion, Risk

PROVIDER = "TRM"
PATH = "/public/v2/screening/addresses"
_LEVEL_MAX = 15
# TRM's own "High"; below it a category is not said of the wallet for certain.
_CERTAIN = 10
_OK = (200, 201)
_ENTRIES_MAX = 10_000
# A wallet that is itself sanctioned, not one that had to do with such a wallet.
_SANCTIONS = "sanctions"
_OWNERSHIP = "OWNERSHIP"


class Unreadable(Exception):
    """An answer of another shape than the documented one."""


class TrmScreener:
    provider = PROVIDER

    def __init__(
        self, settings: ScreeningSettings, clock: Clock, limits: Limits | None = None
    ) -> None:
        key = settings.trm_api_key.get_secret_value()
        # The key is both the user's name and the password.
        token = base64.b64encode(f"{key}:{key}".encode()).decode()
        self._client = JsonClient(
            PROVIDER,
            settings.trm_base,
            {"Authorization": f"Basic {token}"},
            clock,
            limits or Limits(total_s=settings.timeout_s),
        )
        self._chain = settings.trm_chain
        self._ready = bool(key)
        self._medium_from = settings.trm_medium_from
        self._high_from = settings.trm_high_from

    async def close(self) -> None:
        await self._client.close()

    async def screen(self, address: str) -> Opinion:
        """Return TRM's opinion of `address` (lower case); UNKNOWN for anything but a clear one."""
        if not self._ready:
            return _unknown("NOT_SET_UP")
        asked = [{"address": address, "chain": self._chain}]
        answer = await self._client.ask(Request("screen", "POST", PATH, asked))
        if isinstance(answer, NoAnswer):
            return _unknown(answer.reason)
        if answer.status not in _OK:
            return _unknown(f"HTTP_{answer.status}", answer.raw)
        return self._read(answer, address)

    def _read(self, answer: Answer, address: str) -> Opinion:
        try:
            entry = _entry(answer.body, address, self._chain)
            level, sanctioned = _level(entry)
        except Unreadable as error:
            return _unknown(f"UNREADABLE: {error}", answer.raw)
        risk = Risk.SANCTIONED if sanctioned else self.risk_of(level)
        return Opinion(PROVIDER, risk, round(level * 100 / _LEVEL_MAX), answer.raw)

    def risk_of(self, level: int) -> Risk:
        """Return the risk that a riskScoreLevel of TRM (0 to 15) means here."""
        if level >= self._high_from:
            return Risk.HIGH
        return Risk.MEDIUM if level >= self._medium_from else Risk.LOW


def _unknown(reason: str, raw: bytes = b"") -> Opinion:
    return Opinion(PROVIDER, Risk.UNKNOWN, None, raw, reason)


def _entry(body: Any, address: str, chain: str) -> dict[str, Any]:
    if not isinstance(body, list) or len(body) != 1 or not isinstance(body[0], dict):
        raise Unreadable("one entry was asked for")
    entry: dict[str, Any] = body[0]
    about = str(entry.get("addressSubmitted") or entry.get("address") or "").lower()
    if about != address or entry.get("chain") != chain:
        raise Unreadable("it is about another wallet")
    return entry


def _level(entry: dict[str, Any]) -> tuple[int, bool]:
    """Return the highest level of an answer, and whether the wallet itself is sanctioned."""
    highest, sanctioned = 0, False
    for found in _entries(entry, "entities"):
        level = _number(found, "riskScoreLevel")
        highest = max(highest, level)
        sanctioned |= _is_sanctions(found) and level >= _CERTAIN
    for found in _entries(entry, "addressRiskIndicators"):
        level = _number(found, "categoryRiskScoreLevel")
        highest = max(highest, level)
        own = found.get("riskType") == _OWNERSHIP
        sanctioned |= own and _is_sanctions(found) and level >= _CERTAIN
    return highest, sanctioned


def _is_sanctions(found: dict[str, Any]) -> bool:
    return str(found.get("category")).strip().lower() == _SANCTIONS


def _entries(entry: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = entry.get(name)
    if not isinstance(found, list) or len(found) > _ENTRIES_MAX:
        raise Unreadable(name)
    if not all(isinstance(one, dict) for one in found):
        raise Unreadable(name)
    return found


def _number(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LEVEL_MAX:
        raise Unreadable(name)
    return value
