"""How a client reaches the brokers: address, TLS and credentials from the settings."""

import ssl
from typing import Any

import faust

from bloxtr8.config import KafkaSettings

_SASL_MECHANISM = "SCRAM-SHA-512"


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return the options that every aiokafka client of this process shares."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap.split(","),
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": _SASL_MECHANISM,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return options


def faust_credentials(settings: KafkaSettings) -> Any:
    """Return the credentials object that Faust's broker settings take, None for plain text."""
    if settings.security_protocol == "PLAINTEXT":
        return None
    if settings.security_protocol == "SSL":
        return faust.SSLCredentials(ssl_context(settings))
    return faust.SASLCredentials(
        username=settings.sasl_username,
        password=settings.sasl_password.get_secret_value(),
        mechanism=_SASL_MECHANISM,
        ssl_context=ssl_context(settings) if settings.security_protocol == "SASL_SSL" else None,
    )


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=settings.ca_file or None)
