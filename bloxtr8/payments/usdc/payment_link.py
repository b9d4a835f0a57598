"""What a wallet reads to pay: an EIP-681 link, and the link as a QR code."""

import io

import segno
from eth_utils.address import to_checksum_address

from bloxtr8.payments.usdc.networks import Network


def payment_link(network: Network, address: str, amount_minor: int) -> str:
    """Return the link that asks for `amount_minor` of USDC to `address` (EIP-681)."""
    assert amount_minor > 0, "a payment is positive"
    return (
        f"ethereum:{to_checksum_address(network.usdc)}@{network.chain_id}/transfer"
        f"?address={to_checksum_address(address)}&uint256={amount_minor}"
    )


def qr_svg(link: str) -> str:
    """Return `link` as an SVG without size, colours or declaration, to be put into a page."""
    out = io.BytesIO()
    segno.make_qr(link, error="m").save(
        out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4
    )
    return out.getvalue().decode()
