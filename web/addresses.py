"""The address of the client behind the proxies that we trust."""

import ipaddress

from aiohttp import web

_HOPS_MAX = 20


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks_of(texts: list[str]) -> tuple[Network, ...]:
    """Return addresses and networks as networks; raises ValueError for what is neither."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def client_address(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """Return the right-most address of X-Forwarded-For that is not a trusted proxy.

    Without trusted proxies that is the peer's address, whatever the header says.
    """
    peer = request.remote or ""
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-_HOPS_MAX:]
    for address in [peer, *(part.strip() for part in reversed(forwarded) if part.strip())]:
        if not _within(address, proxies):
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


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
