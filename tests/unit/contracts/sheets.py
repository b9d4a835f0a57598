"""Sheets of contracts for tests."""

from datetime import UTC, datetime
from typing import Any

from bloxtr8.contracts.paper.sheet import Sheet, Signed

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_ID = "0195503e-4c00-7000-8000-00000000000{}"


def terms(**values: Any) -> dict[str, Any]:
    """Return frozen terms, with `values` in place of what is usual."""
    person = {"tier": "TIER_1", "discord_id": "81234", "roblox_id": "7001"}
    usual: dict[str, Any] = {
        "template_version": "v1",
        "offer": {"id": _ID.format(1), "ref": "O-M3XK2PD"},
        "agreed_at": "2026-03-01T12:00:00.000+00:00",
        "seller": {
            **person,
            "id": _ID.format(2),
            "display_name": "Mira",
            "discord_name": "mira",
            "roblox_name": "MiraBuilds",
        },
        "buyer": {
            **person,
            "id": _ID.format(3),
            "display_name": "Tom",
            "discord_name": "tom",
            "roblox_name": "TomPlays",
        },
        "asset": {
            "title": "Skyline Tycoon",
            "summary": "A complete tycoon with shop, pets and daily quests.",
            "included_assets": "The experience with all places, passes and badges.",
            "category": "TYCOON",
            "delivery_days": 7,
        },
        "listing": {"id": _ID.format(4), "ref": "L-7Q2K9FA"},
        "experience": {
            "universe_id": "5795192361",
            "root_place_id": "16839312345",
            "name": "Skyline Tycoon",
            "description": "Build a city.",
            "created_at": "2019-05-01T00:00:00.000+00:00",
            "visits": 41_208,
            "owner_type": "USER",
            "owner_id": "7001",
            "ownership": "OWNER",
            "risk_level": "LOW",
            "taken_at": "2026-03-01T11:59:59.000+00:00",
            "sha256": "ab" * 32,
        },
        "price": {"minor": 125_000, "currency": "USD"},
        "costs": {
            "rail": "STRIPE",
            "currency": "USD",
            "settle_minor": 125_000,
            "buyer_fee_minor": 3_655,
            "seller_fee_minor": 50,
            "schedule": "v1",
        },
        "conditions": "",
        "clocks": {
            "sign_hours": 72,
            "fund_hours": 72,
            "deliver_days": 7,
            "confirm_days": 7,
            "dispute_days": 30,
        },
        "law": {"governing": "the law of Estonia", "venue": "the courts of Tallinn"},
    }
    return usual | values


def sheet(**values: Any) -> Sheet:
    """Return the sheet of a draft over `terms(**values)`."""
    return Sheet(_ID.format(5), "C-9T4HW0Z", terms(**values))


def final_sheet() -> Sheet:
    """Return the sheet of a contract that both have signed."""
    return Sheet(
        _ID.format(5),
        "C-9T4HW0Z",
        terms(),
        signed=(Signed("SELLER", "DISCORD", AT, "1234567890"), Signed("BUYER", "WEB", AT)),
        draft_sha256="cd" * 32,
        verify_url="https://bloxtr8.example/verify/" + "cd" * 32,
    )
