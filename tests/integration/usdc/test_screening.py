"""Two providers, every fault: silence and nonsense are never good news."""

import json
from datetime import timedelta

import aiohttp
import pytest

from bloxtr8.payments.screening.risk import Risk
from bloxtr8.payments.screening.service import context_of
from bloxtr8.sandbox.faults import Fault, FaultRule
from bloxtr8.sandbox.screening import ScreeningStandIn
from tests.integration.usdc.world import Screens, World

WALLET = "0x" + "ab" * 20
TRM = "POST /public/v2/screening/addresses"
CHAINALYSIS = "GET /api/v1/address/*"


@pytest.mark.parametrize(
    ("kind", "risk", "score"),
    [
        ("nothing", Risk.LOW, 0),
        ("low", Risk.LOW, 7),
        ("medium", Risk.MEDIUM, 33),
        ("high", Risk.HIGH, 67),
        ("severe", Risk.HIGH, 100),
        ("sanctioned", Risk.SANCTIONED, 100),
        ("listed", Risk.SANCTIONED, 100),
    ],
)
async def test_the_stricter_answer_wins(
    screening: ScreeningStandIn, screens: Screens, kind: str, risk: Risk, score: int
) -> None:
    screening.know(WALLET, kind)
    found = await screens.service.screen(WALLET)
    assert (found.risk, found.score, found.complete) == (risk, score, True)
    assert found.clear == (risk is Risk.LOW)


_FAULTS = [fault for fault in Fault if fault is not Fault.DELAY]


@pytest.mark.parametrize("route", [TRM, CHAINALYSIS])
@pytest.mark.parametrize("fault", _FAULTS)
@pytest.mark.parametrize(("kind", "risk"), [("low", Risk.UNKNOWN), ("sanctioned", Risk.SANCTIONED)])
async def test_a_provider_without_an_answer_closes_the_way(
    screening: ScreeningStandIn,
    screens: Screens,
    route: str,
    fault: Fault,
    kind: str,
    risk: Risk,
) -> None:
    screening.know(WALLET, kind)
    screening.faults.add(FaultRule(route, fault, times=5, seconds=1.3))
    found = await screens.service.screen(WALLET)
    assert (found.risk, found.complete, found.clear) == (risk, False, False)


@pytest.mark.parametrize("fault", _FAULTS)
async def test_no_provider_at_all_closes_the_way(
    screening: ScreeningStandIn, screens: Screens, fault: Fault
) -> None:
    screening.faults.add(FaultRule("*", fault, times=9, seconds=1.3))
    found = await screens.service.screen(WALLET)
    assert (found.risk, found.score, found.complete) == (Risk.UNKNOWN, None, False)


async def test_a_slow_provider_is_waited_for_within_its_time(
    screening: ScreeningStandIn, screens: Screens
) -> None:
    screening.faults.add(FaultRule("*", Fault.DELAY, times=2, seconds=0.2))
    assert (await screens.service.screen(WALLET)).clear


_ENTRY = {"addressSubmitted": WALLET, "chain": "base", "entities": [], "addressRiskIndicators": []}


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [],
        [None],
        [_ENTRY, _ENTRY],
        [{**_ENTRY, "addressSubmitted": "0x" + "cd" * 20}],
        [{**_ENTRY, "chain": "ethereum"}],
        [{**_ENTRY, "entities": None}],
        [{name: value for name, value in _ENTRY.items() if name != "addressRiskIndicators"}],
        [{**_ENTRY, "entities": [7]}],
        [{**_ENTRY, "entities": [{"riskScoreLevel": "15"}]}],
        [{**_ENTRY, "entities": [{"riskScoreLevel": True}]}],
        [{**_ENTRY, "addressRiskIndicators": [{"categoryRiskScoreLevel": 16}]}],
        [{**_ENTRY, "addressRiskIndicators": [{"categoryRiskScoreLevel": -1}]}],
        [{**_ENTRY, "addressRiskIndicators": [{"category": "Sanctions"}]}],
    ],
)
async def test_trm_in_another_shape_is_unknown(
    screening: ScreeningStandIn, screens: Screens, body: object
) -> None:
    screening.faults.add(FaultRule(TRM, Fault.REFUSE, code=json.dumps(body)))
    found = await screens.service.screen(WALLET)
    assert (found.risk, found.complete) == (Risk.UNKNOWN, False)


@pytest.mark.parametrize("body", [None, [], {}, {"identifications": None}, {"identifications": {}}])
async def test_chainalysis_in_another_shape_is_unknown(
    screening: ScreeningStandIn, screens: Screens, body: object
) -> None:
    screening.faults.add(FaultRule(CHAINALYSIS, Fault.REFUSE, code=json.dumps(body)))
    found = await screens.service.screen(WALLET)
    assert (found.risk, found.complete) == (Risk.UNKNOWN, False)


@pytest.mark.parametrize(
    ("level", "risk"), [(0, Risk.LOW), (1, Risk.LOW), (2, Risk.MEDIUM), (5, Risk.MEDIUM)]
)
async def test_levels_between_the_documented_ones_count_as_the_next_higher(
    screening: ScreeningStandIn, screens: Screens, level: int, risk: Risk
) -> None:
    entry = {**_ENTRY, "addressRiskIndicators": [{"categoryRiskScoreLevel": level}]}
    screening.faults.add(FaultRule(TRM, Fault.REFUSE, code=json.dumps([entry])))
    assert (await screens.service.screen(WALLET)).risk is risk


async def test_wrong_keys_close_the_way(screening: ScreeningStandIn, screens: Screens) -> None:
    screening.trm_key = screening.chainalysis_key = "rotated"
    assert (await screens.service.screen(WALLET)).risk is Risk.UNKNOWN


async def test_answers_count_for_a_day_and_never_when_money_leaves(
    world: World, screening: ScreeningStandIn, screens: Screens
) -> None:
    await screens.service.screen(WALLET)
    screening.know(WALLET, "sanctioned")
    world.clock.advance(timedelta(hours=24) - timedelta(seconds=1))
    assert (await screens.service.screen(WALLET)).clear, "still counts"
    assert screening.asked == {"trm": 1, "chainalysis": 1}
    fresh = await screens.service.screen(WALLET, fresh=True)
    assert fresh.risk is Risk.SANCTIONED
    assert (await screens.service.screen(WALLET)).risk is Risk.SANCTIONED, "the newest counts"


async def test_answers_end_after_a_day(
    world: World, screening: ScreeningStandIn, screens: Screens
) -> None:
    await screens.service.screen(WALLET)
    screening.know(WALLET, "high")
    world.clock.advance(timedelta(hours=24))
    assert (await screens.service.screen(WALLET)).risk is Risk.HIGH


async def test_silence_is_asked_about_again_after_ten_minutes(
    world: World, screening: ScreeningStandIn, screens: Screens
) -> None:
    screening.faults.add(FaultRule(TRM, Fault.ERROR_BEFORE))
    assert not (await screens.service.screen(WALLET)).complete
    world.clock.advance(timedelta(minutes=9, seconds=59))
    assert not (await screens.service.screen(WALLET)).complete
    world.clock.advance(timedelta(seconds=1))
    assert (await screens.service.screen(WALLET)).clear


async def test_raw_answers_are_kept_and_unreadable_without_the_key(
    screening: ScreeningStandIn, screens: Screens
) -> None:
    screening.know(WALLET, "sanctioned")
    await screens.service.screen(WALLET)
    kept = {entry.provider: entry for entry in screens.store.answers}
    assert set(kept) == {"TRM", "CHAINALYSIS"}
    for entry in kept.values():
        assert b"anctions" not in entry.encrypted
        raw = screens.keys.decrypt(
            entry.encrypted, context_of(WALLET, entry.provider, entry.asked_at)
        )
        assert b"anctions" in raw


# The wire, as the providers document it (sources in the adapters' docstrings).


async def test_what_the_providers_are_asked_and_answer(screening: ScreeningStandIn) -> None:
    screening.know(WALLET, "sanctioned")
    async with aiohttp.ClientSession() as session:
        async with session.post(
            f"{screening.base_url}/public/v2/screening/addresses",
            json=[{"address": WALLET, "chain": "base"}],
            headers={
                "Authorization": aiohttp.encode_basic_auth(screening.trm_key, screening.trm_key)
            },
        ) as response:
            assert response.status == 201
            (entry,) = await response.json()
        async with session.get(
            f"{screening.base_url}/api/v1/address/{WALLET}",
            headers={"X-API-Key": screening.chainalysis_key},
        ) as response:
            assert response.status == 200
            listed = await response.json()
    assert set(entry) >= {
        "accountExternalId",
        "address",
        "addressRiskIndicators",
        "addressSubmitted",
        "chain",
        "entities",
        "trmAppUrl",
    }
    assert set(entry["addressRiskIndicators"][0]) == {
        "category",
        "categoryId",
        "categoryRiskScoreLevel",
        "categoryRiskScoreLevelLabel",
        "incomingVolumeUsd",
        "outgoingVolumeUsd",
        "riskType",
        "totalVolumeUsd",
    }
    assert set(entry["entities"][0]) == {
        "category",
        "categoryId",
        "entity",
        "riskScoreLevel",
        "riskScoreLevelLabel",
        "trmAppUrl",
        "trmUrn",
    }
    assert set(listed["identifications"][0]) == {"category", "name", "description", "url"}
