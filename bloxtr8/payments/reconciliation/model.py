"""What reconciliation speaks of: differences, repairs, and the report of a run."""

from dataclasses import dataclass, field
from enum import StrEnum

from bloxtr8.errors import Unavailable
from bloxtr8.money import EXPONENTS, Money

FINDINGS_MAX = 1_000
REPAIRS_KEPT_MAX = 1_000
SILENT_KEPT_MAX = 100
_SUBJECT_CHARACTERS_MAX = 255
_WHAT_CHARACTERS_MAX = 120
NOTHING = "nothing"


class Kind(StrEnum):
    """PAYMENT: money in. TRANSFER: money out. STATE: our own parts. BALANCE: the statement."""

    PAYMENT = "PAYMENT"
    STATE = "STATE"
    TRANSFER = "TRANSFER"
    BALANCE = "BALANCE"


class ProviderSilent(Unavailable):
    """A provider gave no answer, or none that can be read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` (mostly a provider's object) differs in `what`; `expected` is by what we know."""

    kind: Kind
    provider: str
    subject: str
    what: str
    expected: str
    actual: str
    escrow_id: str = ""

    def __post_init__(self) -> None:
        assert self.expected != self.actual, "a finding is a difference"
        assert 0 < len(self.what) <= _WHAT_CHARACTERS_MAX, "it says in which respect"
        assert self.subject, "it says of what"

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Of all that are open no two have the same."""
        return self.kind.value, self.provider, self.subject[:_SUBJECT_CHARACTERS_MAX], self.what


@dataclass(frozen=True, slots=True)
class Repair:
    """Something that had been missed has been made up for."""

    what: str
    subject: str
    escrow_id: str = ""


@dataclass(slots=True)
class Report:
    """What a run did. `silent`: what a provider would not say. Lists are bounded, counts not."""

    calls: int = 0
    operations: int = 0
    escrows: int = 0
    lines: int = 0
    repaired: int = 0
    findings: list[Finding] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings and not self.silent

    def find(self, finding: Finding) -> None:
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(finding)

    def repair(self, what: str, subject: str, escrow_id: str = "") -> None:
        self.repaired += 1
        if len(self.repairs) < REPAIRS_KEPT_MAX:
            self.repairs.append(Repair(what, subject, escrow_id))

    def fail(self, subject: str) -> None:
        if len(self.silent) < SILENT_KEPT_MAX:
            self.silent.append(subject)

    def figures(self) -> dict[str, int]:
        return {
            "calls": self.calls,
            "operations": self.operations,
            "escrows": self.escrows,
            "lines": self.lines,
            "repaired": self.repaired,
            "findings": len(self.findings),
            "silent": len(self.silent),
        }


def amount(minor: int, currency: str) -> str:
    """Return an amount as findings name it: "103.29 USD"; minor units of what we do not know."""
    if currency in EXPONENTS:
        return str(Money(currency, minor))
    return f"{minor} minor units of {currency}"
