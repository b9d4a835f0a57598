"""What TRM Labs and Chainalysis answer about a wallet, in their own words.

Sources: see bloxtr8/payments/screening/trm.py and chainalysis.py.
"""

from dataclasses import dataclass
from typing import Any

JSON = dict[str, Any]
LABELS = {15: "Severe", 10: "High", 5: "Medium", 1: "Low", 0: "Unknown"}
LISTED_URL = "https://home.treasury.gov/news/press-releases/jy0126"
_APP = "https://my.trmlabs.com"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a wallet. `level` is TRM's riskScoreLevel; `listed`: on a sanctions list.

    `own`: the category is the wallet's own (OWNERSHIP), not that of somebody it dealt with.
    """

    level: int = 0
    category: str = ""
    own: bool = False
    listed: bool = False


NOTHING = Standing()
# What `kind` in the controls stands for.
KINDS = {
    "low": Standing(1, "Decentralized Exchange"),
    "medium": Standing(5, "High-Risk Exchange"),
    "high": Standing(10, "Mixer"),
    "severe": Standing(15, "Hacked or Stolen Funds", own=True),
    "sanctioned": Standing(15, "Sanctions", own=True, listed=True),
    "listed": Standing(0, "", listed=True),
}


def trm_entry(address: str, chain: str, external_id: str | None, standing: Standing) -> JSON:
    """Return TRM's entry for one wallet."""
    return {
        "accountExternalId": external_id,
        "address": address,
        "addressIncomingVolumeUsd": "25000.00",
        "addressOutgoingVolumeUsd": "24000.00",
        "addressRiskIndicators": [_indicator(standing)] if standing.category else [],
        "addressSubmitted": address,
        "addressTotalVolumeUsd": "49000.00",
        "chain": chain,
        "entities": [_entity(standing)] if standing.own else [],
        "externalId": external_id,
        "trmAppUrl": f"{_APP}/address/{address}/{chain}",
    }


def _indicator(standing: Standing) -> JSON:
    return {
        "category": standing.category,
        "categoryId": "69",
        "categoryRiskScoreLevel": standing.level,
        "categoryRiskScoreLevelLabel": LABELS[standing.level],
        "incomingVolumeUsd": "1200.00",
        "outgoingVolumeUsd": "0.00",
        "riskType": "OWNERSHIP" if standing.own else "COUNTERPARTY",
        "totalVolumeUsd": "1200.00",
    }


def _entity(standing: Standing) -> JSON:
    return {
        "category": standing.category,
        "categoryId": "69",
        "entity": f"Sandbox {standing.category}",
        "riskScoreLevel": standing.level,
        "riskScoreLevelLabel": LABELS[standing.level],
        "trmAppUrl": f"{_APP}/entities/trm/entity/manual/sandbox",
        "trmUrn": "/entity/manual/sandbox",
    }


def chainalysis_answer(address: str, standing: Standing) -> JSON:
    """Return Chainalysis' answer for one wallet."""
    if not standing.listed:
        return {"identifications": []}
    return {
        "identifications": [
            {
                "category": "sanctions",
                "name": f"SANCTIONS: OFAC SDN Sandbox 2021-04-15 {address.removeprefix('0x')}",
                "description": "A person of the sandbox that was put on a list.",
                "url": LISTED_URL,
            }
        ]
    }
