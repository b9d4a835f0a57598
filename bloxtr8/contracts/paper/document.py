"""A contract's document as markup: a released wording, filled with what was agreed.

Pure: the same sheet gives the same markup, whatever the time, place or process.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from bloxtr8.contracts.paper import text
from bloxtr8.contracts.paper.sheet import Sheet, Signed
from bloxtr8.contracts.paper.wordings import FOLDER
from bloxtr8.escrow import fees
from bloxtr8.money import Money
from proto.bloxtr8.common.v1 import common_pb2 as common

_RAILS = {"STRIPE": "card payment (Stripe)", "USDC_BASE": "USDC on the Base network"}
_PERCENT_BPS = 100


@dataclass(frozen=True, slots=True)
class _Side:
    """A party of the contract in the template."""

    title: str
    facts: dict[str, Any]
    signed: Signed | None


def markup(sheet: Sheet) -> str:
    """Return the document of `sheet` as markup for `bloxtr8.contracts.paper.pdf`."""
    return _template(sheet.version).render(
        sheet=sheet,
        terms=sheet.terms,
        sides=_sides(sheet),
        costs=_costs(sheet.terms),
        rail=_RAILS[sheet.terms["costs"]["rail"]],
        qr=_qr(sheet.verify_url),
    )


def _template(version: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(said=text.paragraphs, line=text.inline, moment=_moment)
    return environment.get_template(f"{version}.html")


def _sides(sheet: Sheet) -> list[_Side]:
    signed = {one.side: one for one in sheet.signed}
    return [
        _Side(side.capitalize(), sheet.terms[side.lower()], signed.get(side))
        for side in ("SELLER", "BUYER")
    ]


def _costs(terms: dict[str, Any]) -> dict[str, str]:
    """Return every sum and rate of section 4 in words."""
    costs, price = terms["costs"], terms["price"]
    currency, settle = costs["currency"], costs["settle_minor"]
    rates = fees.SCHEDULES[costs["schedule"]][common.Rail.Value(f"RAIL_{costs['rail']}")]

    def money(minor: int) -> str:
        return f"{Money(currency, minor).decimal} {currency}"

    return {
        "price": f"{Money(price['currency'], price['minor']).decimal} {price['currency']}",
        "settle": money(settle),
        "buyer_fee": money(costs["buyer_fee_minor"]),
        "seller_fee": money(costs["seller_fee_minor"]),
        "buyer_pays": money(settle + costs["buyer_fee_minor"]),
        "seller_receives": money(settle - costs["seller_fee_minor"]),
        "buyer_rate": f"{_percent(rates.buyer_bps)} + {money(rates.buyer_fixed_minor)}",
        "seller_rate": f"{_percent(rates.seller_bps)} + {money(rates.seller_fixed_minor)}",
    }


def _percent(bps: int) -> str:
    return f"{bps // _PERCENT_BPS}.{bps % _PERCENT_BPS:02d} %"


def _moment(value: datetime | str | None) -> str:
    """Return a time as the document prints all of them, to the minute."""
    if value is None:
        return "not known"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _qr(url: str) -> str:
    return segno.make(url, error="m").png_data_uri(scale=4, border=2) if url else ""
