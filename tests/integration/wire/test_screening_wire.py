"""TRM Labs and Chainalysis on the wire, against what they document in public.

Sources: docs.trmlabs.com, Wallet Screening, "Screen addresses" (POST
/public/v2/screening/addresses, Basic authentication with the key as user and password, a list of
{address, chain}; 201 and a list of entries); Chainalysis, "Sanctions API Reference" (GET
https://public.chainalysis.com/api/v1/address/{address}, header X-API-Key; identifications, empty
for who is on no list).
"""

import base64
import json
from typing import Any

import pytest
from pydantic import SecretStr

from bloxtr8.clock import SystemClock
from bloxtr8.config import ScreeningSettings
from bloxtr8.payments.http_json import Limits
from bloxtr8.payments.screening.chainalysis import ChainalysisScreener
from bloxtr8.payments.screening.risk import Opinion, Risk
from bloxtr8.payments.screening.trm import TrmScreener
from bloxtr8.sandbox.screening.answers import KINDS, chainalysis_answer, trm_entry
from tests.integration.wire.recorder import Recorder

WALLET = "0x" + "ab" * 20
TRM = "POST /public/v2/screening/addresses"
CHAINALYSIS = f"GET /api/v1/address/{WALLET}"
# The fields of TRM's documents, with values of ours.
INDICATOR: dict[str, Any] = {
    "category": "Mixer",
    "categoryId": "40",
    "categoryRiskScoreLevel": 10,
    "categoryRiskScoreLevelLabel": "High",
    "incomingVolumeUsd": "12.00",
    "outgoingVolumeUsd": "0",
    "riskType": "COUNTERPARTY",
    "totalVolumeUsd": "12.00",
}
ENTITY: dict[str, Any] = {
    "category": "Exchange",
    "categoryId": "20",
    "entity": "Some Exchange",
    "riskScoreLevel": 1,
    "riskScoreLevelLabel": "Low",
    "trmAppUrl": "https://my.trmlabs.com/entities/x",
    "trmUrn": "/entity/manual/x",
}
IDENTIFICATION = {
    "category": "sanctions",
    "name": "SANCTIONS: OFAC SDN Somebody 2021-04-15",
    "description": "Somebody is on the list of the OFAC.",
    "url": "https://home.treasury.gov/news/press-releases/jy0126",
}


def entry(entities: list[Any], indicators: list[Any]) -> dict[str, Any]:
    return {
        "accountExternalId": None,
        "address": WALLET,
        "addressIncomingVolumeUsd": "12.00",
        "addressOutgoingVolumeUsd": "0",
        "addressRiskIndicators": indicators,
        "addressSubmitted": WALLET,
        "addressTotalVolumeUsd": "12.00",
        "chain": "base",
        "entities": entities,
        "externalId": None,
        "trmAppUrl": f"https://my.trmlabs.com/address/{WALLET}/base",
    }


def settings(provider: Recorder) -> ScreeningSettings:
    return ScreeningSettings(
        trm_base=provider.base_url,
        trm_api_key=SecretStr("trm-key"),
        chainalysis_base=provider.base_url,
        chainalysis_api_key=SecretStr("chainalysis-key"),
    )


async def ask(provider: Recorder, screener: type[TrmScreener | ChainalysisScreener]) -> Opinion:
    made = screener(settings(provider), SystemClock(), Limits(tries=1))
    try:
        return await made.screen(WALLET)
    finally:
        await made.close()


async def test_trm_is_asked_as_documented(provider: Recorder) -> None:
    provider.answers[TRM] = (201, [entry([ENTITY], [INDICATOR])])
    opinion = await ask(provider, TrmScreener)
    assert (opinion.risk, opinion.score) == (Risk.HIGH, 67)
    (asked,) = provider.asked
    assert json.loads(asked.body) == [{"address": WALLET, "chain": "base"}]
    token = base64.b64encode(b"trm-key:trm-key").decode()
    assert asked.headers["authorization"] == f"Basic {token}"
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("level", "risk"),
    [(15, Risk.HIGH), (10, Risk.HIGH), (5, Risk.MEDIUM), (1, Risk.LOW), (0, Risk.LOW)],
)
@pytest.mark.parametrize("where", ["entities", "addressRiskIndicators"])
async def test_trm_levels(provider: Recorder, where: str, level: int, risk: Risk) -> None:
    """riskScoreLevel: 15 Severe, 10 High, 5 Medium, 1 Low, 0 Unknown."""
    entities, indicators = [], []
    if where == "entities":
        entities = [ENTITY, ENTITY | {"riskScoreLevel": level}]
    else:
        indicators = [INDICATOR | {"categoryRiskScoreLevel": level}]
    provider.answers[TRM] = (201, [entry(entities, indicators)])
    # An exchange of level 1 beside it changes nothing: the highest counts.
    assert (await ask(provider, TrmScreener)).risk is risk


async def test_chainalysis_is_asked_as_documented(provider: Recorder) -> None:
    provider.answers[CHAINALYSIS] = (200, {"identifications": [IDENTIFICATION]})
    assert (await ask(provider, ChainalysisScreener)).risk is Risk.SANCTIONED
    (asked,) = provider.asked
    assert asked.headers["x-api-key"] == "chainalysis-key"
    assert asked.headers["accept"] == "application/json"
    provider.answers[CHAINALYSIS] = (200, {"identifications": []})
    assert (await ask(provider, ChainalysisScreener)).risk is Risk.LOW


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
async def test_errors_are_no_opinion(provider: Recorder, status: int) -> None:
    provider.answers[TRM] = provider.answers[CHAINALYSIS] = (status, {"message": "no"})
    assert (await ask(provider, TrmScreener)).risk is Risk.UNKNOWN
    assert (await ask(provider, ChainalysisScreener)).risk is Risk.UNKNOWN


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_stand_in_answers_with_documented_fields_only(kind: str) -> None:
    made = trm_entry(WALLET, "base", None, KINDS[kind])
    assert set(made) == set(entry([], []))
    assert all(set(found) == set(INDICATOR) for found in made["addressRiskIndicators"])
    assert all(set(found) == set(ENTITY) for found in made["entities"])
    listed = chainalysis_answer(WALLET, KINDS[kind])
    assert set(listed) == {"identifications"}
    assert all(set(found) == set(IDENTIFICATION) for found in listed["identifications"])
