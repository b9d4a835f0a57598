"""Calls at the webhook routes as nobody should make them, drawn from a seed."""

import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

OLD_S = 300
# What each route's senders sign with: both secrets of a rotation, and of connected accounts.
STRIPE, CONNECT, CUSTODIAN = "stripe", "connect", "custodian"
SECRETS = {
    STRIPE: ("whsec_test_1", "whsec_test_2"),
    CONNECT: ("whsec_connect_1", "whsec_connect_2"),
    CUSTODIAN: ("custodian-1", "custodian-2"),
}
_PATHS = {STRIPE: "/webhooks/stripe", CONNECT: "/webhooks/stripe", CUSTODIAN: "/webhooks/custodian"}
_STRIPE_TYPES = (
    *("payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled"),
    *("charge.refunded", "refund.updated", "refund.failed", "transfer.created"),
    *("transfer.reversed", "charge.dispute.created", "charge.dispute.closed"),
    *("account.updated", "invoice.paid", ""),
)
_CUSTODIAN_TYPES = (
    *("deposit.detected", "deposit.confirmed", "deposit.failed", "transfer.completed"),
    *("transfer.failed", "wallet.renamed", ""),
)
_ODD_TEXT = ("", "\x00", "\ud800", "ß" * 40, "x" * 300, "a\r\nb", "'; --", "0x" + "00" * 20)
_ODD: tuple[Any, ...] = (None, True, -1, 10**40, 1.5, [], {}, [[]], {"id": {}}, *_ODD_TEXT)


@dataclass(frozen=True, slots=True)
class Request:
    """`statuses`: what may be answered. `taken`: a good call, which the broker has to have."""

    kind: str
    path: str
    body: bytes
    headers: dict[str, str]
    statuses: frozenset[int]
    taken: bool = False
    method: str = "POST"
    chunked: bool = False


@dataclass
class Hostile:
    """`next_request` never ends; the same seed makes the same requests, but for their times."""

    random: Random
    kept: list[Request] = field(default_factory=list)

    def next_request(self) -> Request:
        route = self.random.choice(tuple(_PATHS))
        name = self.random.choice(_KINDS)
        make: Callable[[Hostile, str], Request] = _MAKERS[name]
        return make(self, route)

    # --- calls ----------------------------------------------------------------------------

    def good(self, route: str) -> Request:
        """A call as the provider makes it, of something that nobody here knows."""
        secret = self.random.choice(SECRETS[route])
        body = json.dumps(self._event(route)).encode()
        made = self._signed("good", route, body, secret, {200}, taken=True)
        self.kept = [*self.kept[-99:], made]
        return made

    def replayed(self, route: str) -> Request:
        """The very same bytes again, signature and all."""
        if not self.kept:
            return self.good(route)
        return self.random.choice(self.kept)

    def unsigned(self, route: str) -> Request:
        body = json.dumps(self._event(route)).encode()
        return Request("unsigned", _PATHS[route], body, {}, _REFUSED)

    def bad_header(self, route: str) -> Request:
        """Headers of every shape but the right one."""
        body = json.dumps(self._event(route)).encode()
        now = int(time.time())
        time_text = self.random.choice((str(now), "", "0", "-1", "1e9", "9" * 40, "½", "٣", "nan"))
        digest = self.random.choice(
            ("", "00", "0" * 64, "f" * 64, "zz" * 32, "A" * 5000, "é" * 64, "0" * 63 + "\t")
        )
        if _PATHS[route] == "/webhooks/stripe":
            text = self.random.choice(
                (
                    f"t={time_text},v1={digest}",
                    f"t={time_text},v0={digest}",
                    f"v1={digest}",
                    f"t={time_text}",
                    "," * self.random.randint(1, 4000),
                    "=" * self.random.randint(1, 4000),
                    ",".join(f"v1={digest[:64]}" for _ in range(50)) + f",t={time_text}",
                    f"t={time_text},t={now},v1={digest}",
                )
            )
            headers = {"Stripe-Signature": text}
        else:
            headers = {"X-Timestamp": time_text, "X-Signature": digest}
        return Request("bad_header", _PATHS[route], body, _sendable(headers), _REFUSED)

    def wrong_secret(self, route: str) -> Request:
        body = json.dumps(self._event(route)).encode()
        others = [name for name in SECRETS if _PATHS[name] != _PATHS[route]]
        secret = self.random.choice(("", "whsec_", SECRETS[others[0]][0], SECRETS[route][0] + " "))
        return self._signed("wrong_secret", route, body, secret, _REFUSED)

    def old(self, route: str) -> Request:
        body = json.dumps(self._event(route)).encode()
        age = self.random.choice((OLD_S + 2, 3_600, 86_400 * 400))
        return self._signed("old", route, body, SECRETS[route][0], _REFUSED, age_s=age)

    def future(self, route: str) -> Request:
        body = json.dumps(self._event(route)).encode()
        # Not so near that it could be good by the time it is read.
        age = -self.random.choice((OLD_S + 120, 3_600, 86_400 * 400))
        return self._signed("future", route, body, SECRETS[route][0], _REFUSED, age_s=age)

    def changed(self, route: str) -> Request:
        """Signed once, and another body."""
        made = self.good(route)
        self.kept.pop()
        body = bytearray(made.body)
        way = self.random.randrange(4)
        if way == 0:
            body[self.random.randrange(len(body))] ^= 1 << self.random.randrange(8)
        elif way == 1:
            del body[self.random.randrange(len(body)) :]
        elif way == 2:
            body += self.random.choice((b" ", b"\n", b"{}", b"\x00"))
        else:
            body[:0] = b"\xef\xbb\xbf"
        return Request("changed", made.path, bytes(body), made.headers, _REFUSED)

    def nonsense(self, route: str) -> Request:
        """Signed by the provider and no event at all."""
        whole = json.dumps(self._event(route)).encode()
        body = self.random.choice(
            (
                b"",
                b"null",
                b"[]",
                b'"text"',
                b"NaN",
                b"{",
                whole[: self.random.randrange(len(whole))],
                whole.replace(b"evt_", b"\xff\xfe", 1),
                b"[" * self.random.choice((100, 10_000, 200_000)),
                b'{"a":' * self.random.choice((100, 10_000, 40_000)),
                bytes(self.random.randrange(256) for _ in range(200)),
                b'{"id": "evt_1", "id": {}}',
                b"1" * 10_000,
            )
        )
        return self._signed("nonsense", route, body, SECRETS[route][0], {400})

    def odd_fields(self, route: str) -> Request:
        """Signed by the provider, and something in it is not what its documents say."""
        event = self._event(route)
        for _ in range(self.random.randint(1, 3)):
            target: Any = event
            if self.random.random() < 0.6 and isinstance(event.get("data"), dict):
                target = event["data"].get("object", event["data"])
            if isinstance(target, dict) and target:
                odd = deepcopy(self.random.choice(_ODD))
                target[self.random.choice(tuple(target))] = odd
        body = json.dumps(event).encode()
        secret = SECRETS[route][0]
        return self._signed("odd_fields", route, body, secret, {200, 400}, taken=True)

    def deep(self, route: str) -> Request:
        """An event with something deep inside, where nobody looks."""
        event = self._event(route)
        event["more"] = "@"
        depth = self.random.choice((10, 500, 5_000, 50_000))
        secret_inside = self.random.choice((b"1", b'{"client_secret":"s"}'))
        inner = b"[" * depth + secret_inside + b"]" * depth
        body = json.dumps(event).encode().replace(b'"@"', inner)
        return self._signed("deep", route, body, SECRETS[route][0], {200, 400}, taken=True)

    def large(self, route: str) -> Request:
        size = self.random.choice((256 * 1024 + 1, 1024 * 1024, 10 * 1024 * 1024))
        body = b"{" + b" " * (size - 1)
        made = self._signed("large", route, body, SECRETS[route][0], {413})
        chunked = self.random.random() < 0.3
        headers = made.headers | {"Connection": "close"}
        return Request("large", made.path, body, headers, made.statuses, chunked=chunked)

    def squeezed(self, route: str) -> Request:
        """A small body that says it is a large one, squeezed."""
        body = gzip.compress(b" " * 2_000_000) if self.random.random() < 0.5 else b"\x1f\x8bno"
        made = self._signed("squeezed", route, body, SECRETS[route][0], {400, 413})
        headers = made.headers | {"Content-Encoding": "gzip", "Connection": "close"}
        return Request("squeezed", made.path, body, headers, made.statuses)

    def elsewhere(self, route: str) -> Request:
        made = self.good(route)
        self.kept.pop()
        way = self.random.randrange(3)
        if way == 0:
            method = self.random.choice(("GET", "PUT", "DELETE", "PATCH"))
            return Request(
                "elsewhere", made.path, made.body, made.headers, frozenset({405}), method=method
            )
        path = self.random.choice(("/webhooks/", "/webhooks/nobody", "/webhooks/stripe/x"))
        return Request("elsewhere", path, made.body, made.headers, frozenset({404}))

    # --- parts ----------------------------------------------------------------------------

    def _signed(
        self,
        kind: str,
        route: str,
        body: bytes,
        secret: str,
        statuses: frozenset[int] | set[int],
        *,
        age_s: int = 0,
        taken: bool = False,
    ) -> Request:
        at = int(time.time()) - age_s
        digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Timestamp": str(at), "X-Signature": digest}
        if route != CUSTODIAN:
            headers = {"Stripe-Signature": f"t={at},v1={digest}"}
        return Request(kind, _PATHS[route], body, headers, frozenset(statuses), taken)

    def _event(self, route: str) -> dict[str, Any]:
        name = f"evt_{self.random.getrandbits(64):016x}"
        if route == CUSTODIAN:
            kind = self.random.choice(_CUSTODIAN_TYPES) or "deposit.confirmed"
            about = {
                "id": f"dep_{self.random.getrandbits(32):x}",
                "address": f"0x{self.random.getrandbits(160):040x}",
                "reference": f"{self.random.getrandbits(32):x}",
                "amount": "12000.000000",
            }
            return {"id": name, "type": kind, "created_at": "2026-01-01T00:00:00Z", "data": about}
        kind = self.random.choice(_STRIPE_TYPES) or "payment_intent.succeeded"
        thing = kind.split(".", maxsplit=1)[0]
        subject = {
            "id": f"pi_{self.random.getrandbits(64):016x}",
            "object": thing,
            "payment_intent": f"pi_{self.random.getrandbits(64):016x}",
            "transfer_group": f"{self.random.getrandbits(64):x}",
            "amount": 10_329,
            "amount_reversed": 5,
            "currency": "usd",
            "status": self.random.choice(("succeeded", "won", "lost", "needs_response")),
            "metadata": {"escrow_id": "no such escrow", "operation_id": "none"},
            "last_payment_error": {"code": "card_declined"},
            "capabilities": {"transfers": "active"},
            "reason": "fraudulent",
        }
        if self.random.random() < 0.5:
            subject["client_secret"] = "pi_1_secret_2"
        return {"id": name, "object": "event", "type": kind, "data": {"object": subject}}


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    """Return what a client can put on the wire: no line breaks, at most Latin-1."""
    return {
        name: text.encode("latin-1", "replace").decode("latin-1") for name, text in headers.items()
    }


_REFUSED = frozenset({400, 429})
_MAKERS: dict[str, Callable[[Hostile, str], Request]] = {
    "good": Hostile.good,
    "replayed": Hostile.replayed,
    "unsigned": Hostile.unsigned,
    "bad_header": Hostile.bad_header,
    "wrong_secret": Hostile.wrong_secret,
    "old": Hostile.old,
    "future": Hostile.future,
    "changed": Hostile.changed,
    "nonsense": Hostile.nonsense,
    "odd_fields": Hostile.odd_fields,
    "deep": Hostile.deep,
    "large": Hostile.large,
    "squeezed": Hostile.squeezed,
    "elsewhere": Hostile.elsewhere,
}
# What costs much comes less often.
_RARE = ("large", "squeezed")
_KINDS = tuple(name for name in _MAKERS if name not in _RARE) * 60 + _RARE * 2
