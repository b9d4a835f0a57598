"""The address of the client behind the proxies that we trust."""

import ipaddress

from aiohttp import web

_HOPS_MAX = 20


def client_address(request: web.Request, trusted_proxies: list[str]) -> str:
    """Return the right-most address of X-Forwarded-For that is not a trusted proxy.

    Without trusted proxies that is the peer's address, whatever the header says.
    """
    peer = request.remote or ""
    networks = [ipaddress.ip_network(text, strict=False) for text in trusted_proxies]
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-_HOPS_MAX:]
    for address in [peer, *(part.strip() for part in reversed(forwarded) if part.strip())]:
        if not _within(address, networks):
            return address
    return peer


def is_loopback(request: web.Request) -> bool:
    """Whether the peer is this machine itself, not a proxy on it that speaks for others."""
    if any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP")):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def _within(address: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
