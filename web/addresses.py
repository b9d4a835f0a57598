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
    nearest = request.remote or ""
    # A proxy may write a line of its own below what it was sent: the list goes on in it.
    forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")[-_HOPS_MAX:]
    for told in [part.strip() for part in reversed(forwarded) if part.strip()]:
        if not (_within(nearest, proxies) and _is_address(told)):
            break
        nearest = told
    return nearest


def is_loopback(request: web.Request) -> bool:
    """Whether the peer is this machine itself, not a proxy on it that speaks for others."""
    if any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP")):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
