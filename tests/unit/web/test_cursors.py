"""Cursors, peers' proofs, client addresses, traces."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import make_mocked_request
from joserfc.jwk import ECKey
from multidict import CIMultiDict

from bloxtr8.access.tokens import TokenKeys
from bloxtr8.errors import BadCursor
from web import cursors, peers
from web.addresses import client_address, is_loopback, networks_of
from web.trace import trace_id, traceparent_for

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILTERS = {"path": "/api/v1/escrows", "status": None}


def _keys() -> TokenKeys:
    return TokenKeys([ECKey.generate_key("P-256", {"kid": "tokens-1"})], bytes(range(32)))


def test_a_cursor_comes_back_as_it_was() -> None:
    keys = _keys()
    cursor = cursors.make(keys, ["2026-11-22", "id"], FILTERS, NOW)
    assert cursors.read(keys, cursor, dict(FILTERS), NOW) == ["2026-11-22", "id"]


def test_every_changed_character_is_noticed() -> None:
    keys = _keys()
    cursor = cursors.make(keys, ["2026-11-22", "id"], FILTERS, NOW)
    for place in range(len(cursor) - 1):
        other = "A" if cursor[place] != "A" else "B"
        with pytest.raises(BadCursor):
            cursors.read(keys, cursor[:place] + other + cursor[place + 1 :], FILTERS, NOW)
    for bad in ("", "é", "=", cursor + "AAAA", "x" * 5000):
        with pytest.raises(BadCursor):
            cursors.read(keys, bad, FILTERS, NOW)


def test_a_cursor_of_others_filters_or_yesterday() -> None:
    keys = _keys()
    cursor = cursors.make(keys, ["a", "b"], FILTERS, NOW)
    with pytest.raises(BadCursor):
        cursors.read(keys, cursor, FILTERS | {"status": "DISPUTED"}, NOW)
    with pytest.raises(BadCursor):
        cursors.read(keys, cursor, FILTERS, NOW + timedelta(hours=24, seconds=1))
    assert cursors.read(keys, cursor, FILTERS, NOW + timedelta(hours=24)) == ["a", "b"]


def test_a_peers_proof_is_for_one_escrow_and_one_minute() -> None:
    keys = _keys()
    header = peers.proof(keys, "e1", NOW)
    assert peers.is_proof(keys, "e1", header, NOW + timedelta(seconds=59))
    assert not peers.is_proof(keys, "e2", header, NOW)
    assert not peers.is_proof(keys, "e1", header, NOW + timedelta(seconds=61))
    for bad in ("", ".", "²." + "0" * 64, header[:-1], "9" * 30 + ".00"):
        assert not peers.is_proof(keys, "e1", bad, NOW)


def test_the_client_is_the_last_address_that_is_not_ours() -> None:
    def request(forwarded: str) -> object:
        return make_mocked_request("GET", "/", headers={"X-Forwarded-For": forwarded})

    direct = make_mocked_request("GET", "/")
    peer = direct.remote or ""
    spoofed = request("198.51.100.1")
    assert client_address(spoofed, ()) == peer  # type: ignore[arg-type]
    assert is_loopback(spoofed) is False  # type: ignore[arg-type]


def test_whatever_lines_the_header_has_it_is_read_from_its_end() -> None:
    proxies = networks_of(["10.0.0.0/8"])

    def asked(*lines: str) -> str:
        headers = CIMultiDict([("X-Forwarded-For", line) for line in lines])
        request = make_mocked_request("GET", "/", headers=headers, transport=Peer("10.0.0.1"))
        return client_address(request, proxies)

    assert asked() == "10.0.0.1"
    assert asked("198.51.100.7") == "198.51.100.7"
    assert asked("203.0.113.9, 198.51.100.7, 10.0.0.2") == "198.51.100.7"
    # The client's own line stays above that of the proxy.
    assert asked("203.0.113.9", "198.51.100.7") == "198.51.100.7"
    assert asked("203.0.113.9", "198.51.100.7, 10.0.0.2") == "198.51.100.7"
    # What is no address is nobody's: the last one that is known stays.
    assert asked("198.51.100.7, x" + "9" * 100) == "10.0.0.1"
    assert asked("not an address, 10.0.0.2") == "10.0.0.2"


class Peer(asyncio.Transport):
    """A connection from an address."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40_000)})


def test_traces() -> None:
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    ours = traceparent_for(given)
    assert trace_id(ours) == trace_id(given)
    assert ours[36:52] != given[36:52], "our own span"
    for bad in (None, "", "x", given.upper(), given + "0", "01" + given[2:]):
        assert trace_id(traceparent_for(bad)) != trace_id(given)
