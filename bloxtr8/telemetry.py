"""Logs and metrics: structured lines without secrets, and every Prometheus metric by name.

Labels are bounded: names of states, rails, topics, codes and kinds, never ids of anything.
"""

import logging
import logging.config
import re
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from bloxtr8.config import Settings

# --- metrics ---------------------------------------------------------------------------------

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

# Around the objectives of 50, 100 and 500 ms.
_LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAG_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"bloxtr8_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"bloxtr8_{name}", text, labels, registry=REGISTRY)


def _seconds(
    name: str, text: str, *labels: str, buckets: tuple[float, ...] = _LATENCY_BUCKETS
) -> Histogram:
    return Histogram(f"bloxtr8_{name}", text, labels, buckets=buckets, registry=REGISTRY)


# Escrows
TRANSITIONS = _counter("transitions", "State changes of escrows", "from_state", "to_state", "rail")
COMMANDS = _counter("commands", "Commands decided", "outcome", "code")
COMMAND_TO_EVENT = _seconds("command_to_event_seconds", "From a command's making to its event")
WEBHOOK_TO_EVENT = _seconds("webhook_to_event_seconds", "From a provider's call to its event")
TABLE_RECORDS = _gauge("table_records", "Records of this worker's partitions", "table")
DUPLICATES = _counter("duplicates", "Messages dropped because they were seen before", "consumer")
FENCED = _counter("fenced_messages", "Messages dropped for a lower fencing token", "consumer")

# Deadlines
DEADLINES_DUE = _gauge("deadlines_due", "Deadlines that fall within the next hour")
DEADLINES_LATE = _gauge("deadlines_late", "Deadlines past their time and not yet acted on")

# Messaging
DLQ = _counter("dlq", "Messages dead-lettered", "topic", "kind")
DLQ_DEPTH = _gauge("dlq_depth", "Dead letters that nobody has handled yet", "topic")
PUBLISH = _seconds("publish_seconds", "Until the broker's acknowledgement", "topic")
WATCHDOG_STOPS = _counter("watchdog_stops", "Process stops by the watchdog", "reason")
BACKGROUND_RESTARTS = _counter("background_restarts", "Background loops restarted", "name")

# Mirror and outbox
MIRROR_LAG = _seconds(
    "mirror_lag_seconds", "From an event's making to its row", buckets=_LAG_BUCKETS
)
MIRROR_EVENTS = _counter("mirror_events", "Events handed to the mirror", "outcome")
MIRROR_PENDING = _gauge("mirror_pending_events", "Events waiting for the next commit")
OUTBOX_AGE = _gauge("outbox_age_seconds", "Age of the oldest unpublished outbox row")
AUDIT_UNSEALED_AGE = _gauge("audit_unsealed_age_seconds", "Age of the oldest unsealed audit row")
LEDGER_IMBALANCE = _gauge("ledger_imbalance_minor", "Sum over the ledger; always 0", "currency")

# Payments
OPERATIONS = _counter("operations", "Provider operations that reached a status", "kind", "status")
PROVIDER_CALL = _seconds(
    "provider_call_seconds", "Calls to providers", "provider", "call", "result"
)
BREAKER_STATE = _gauge("breaker_state", "0 closed, 1 half open, 2 open", "provider")
LEDGER_REFUSALS = _counter(
    "ledger_refusals", "Operations refused before a provider was asked", "kind"
)
WEBHOOKS = _counter("webhooks", "Provider calls received", "provider", "outcome")
UNMATCHED_WEBHOOKS = _counter("unmatched_webhooks", "Facts that belong to no escrow", "provider")
UNSETTLED = _gauge("operations_unsettled", "Operations in doubt for over five minutes", "provider")
UNSETTLED_AGE = _gauge("operations_unsettled_age_seconds", "Age of the oldest in doubt", "provider")
HOT_WALLET_WEI = _gauge("hot_wallet_wei", "What the hot wallet has for fees")
HOT_WALLET_USDC = _gauge("hot_wallet_usdc_minor", "What the hot wallet holds")
HOT_WALLET_UNFINISHED = _gauge("hot_wallet_unfinished", "Transactions reserved and not final")
HOT_WALLET_GAS_LOW = _gauge("hot_wallet_gas_low", "1 while there is less than the settings want")
NONCES_USED_ELSEWHERE = _gauge("nonces_used_elsewhere", "Our nonces in others' transactions")
HOT_WALLET_OVER_FLOAT = _gauge("hot_wallet_over_float", "1 while more is warm than should be")

# Reconciliation
RECONCILIATIONS = _counter("reconciliations", "Runs that ended", "kind", "result")
RECONCILIATION_REPAIRS = _counter("reconciliation_repairs", "Missed facts that were made up for")
DISCREPANCIES = _counter("discrepancies", "Differences found that were not known", "kind")
DISCREPANCIES_OPEN = _gauge("discrepancies_open", "Differences that nobody has resolved", "kind")
HELD_TOO_LONG = _gauge("held_too_long", "Escrows that have held money for sixty days")

# HTTP
HTTP_REQUESTS = _counter("http_requests", "Requests answered", "route", "method", "status")
HTTP_SECONDS = _seconds("http_request_seconds", "Time to answer", "route", "method")
RATE_LIMITED = _counter("rate_limited", "Requests refused by a rate limit", "rate_class")

# Contracts
CONTRACTS_BROKEN = _counter(
    "contracts_broken", "Stored documents found not to be the ones that were made"
)
CONTRACT_RENDER_SECONDS = _seconds("contract_render_seconds", "Time to draw a contract's document")
CONTRACTS_NOT_RENDERED = _counter("contracts_not_rendered", "Tries to make a document", "reason")

# --- logs ------------------------------------------------------------------------------------

REDACTED = "[redacted]"
_DEPTH_MAX = 8
_ITEMS_MAX = 200
_TEXT_MAX = 8_000
_SEARCHED_MAX = 64_000

# What happens to every record before it is made a line.
_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,
]

# Keys whose values are never written, wherever they stand.
_SECRET_KEY = re.compile(
    r"(?i)(secret|token|password|passwd|authori[sz]ation|cookie|api_?key|private|credential|dsn"
    r"|signature|csrf|e?mail|display_name|legal_name|birth|wallet|statement|user_agent"
    r"|^ip$|client_ip|\bcard|iban)"
)
# Names that look like secrets and are counts or ids of none.
_PLAIN_KEYS = frozenset({"fencing_token", "key_id", "signature_valid", "token_kind"})

# What secrets and personal data look like inside other text.
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"  # JSON web tokens
    r"|\b(?:sk|rk|pk)_(?:test|live)_\w+"  # Stripe keys
    r"|\bwhsec_[\w+/=]+"
    r"|\b\w+_secret_\w+"  # client secrets of Stripe objects
    r"|\b(?:bx_(?:live|test)|brt)_[\w-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user and password of a URL
    r"|(?i:\bbearer\s+)[\w.~+/=-]+"
    r"|[\w.+-]+@[\w-]+\.[\w.-]+"  # e-mail addresses
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
)


def redact(value: Any, depth: int = 0) -> Any:
    """Return `value` without secrets and personal data; nested containers are followed."""
    if depth > _DEPTH_MAX:
        return "[nested too deep]"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        items = list(value.items())[:_ITEMS_MAX]
        return {str(key): _redact_item(str(key), item, depth) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in list(value)[:_ITEMS_MAX]]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    # Cut to its length last: half a secret would not be known as one.
    return _SECRET_TEXT.sub(REDACTED, str(value)[:_SEARCHED_MAX])[:_TEXT_MAX]


def _redact_item(key: str, value: Any, depth: int) -> Any:
    if key not in _PLAIN_KEYS and _SECRET_KEY.search(key):
        return REDACTED if value not in (None, "", False) else value
    return redact(value, depth + 1)


def _redact_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    cleaned: MutableMapping[str, Any] = redact(dict(event))
    return cleaned


def formatter(log_json: bool) -> logging.Formatter:
    """Return what makes a line of a record: JSON, or (false) for reading by people."""
    renderer: Any = (
        structlog.processors.JSONRenderer(sort_keys=True)
        if log_json
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_event,
            renderer,
        ],
    )


def logging_config(settings: Settings, stream: TextIO | None = None) -> dict[str, Any]:
    """Return the standard library's logging configuration (`logging.config.dictConfig`).

    For whoever sets up logging itself, as a Faust worker does.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"bloxtr8": {"()": formatter, "log_json": settings.log_json}},
        "handlers": {
            "default": {
                "class": "logging.StreamHandler",
                "formatter": "bloxtr8",
                # The real one: a worker turns what is written to sys.stderr into log records.
                "stream": stream or "ext://sys.__stderr__",
            }
        },
        "root": {"level": settings.log_level, "handlers": ["default"]},
    }


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records to `stream` (standard error).

    One JSON object a line, unless `settings.log_json` is false. Calling again replaces the
    earlier set-up.
    """
    logging.config.dictConfig(logging_config(settings, stream))
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Any:
    """Return the structured logger called `name`."""
    return structlog.stdlib.get_logger(name)
