"""The custodian's REST contract: what a request is, and the OpenAPI document that says so.

Ours, as docs/custodian-openapi.json states it; a custodian with another API gets an adapter.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JSON = dict[str, Any]
ADDRESS = r"^0x[0-9a-fA-F]{40}$"
HASH = r"^0x[0-9a-f]{64}$"
# At most 6 digits after the point: USDC has no smaller unit.
AMOUNT = r"^(0|[1-9][0-9]{0,15})(\.[0-9]{1,6})?$"
Chain = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$", description="base, base-sepolia, …")]
Asset = Literal["USDC"]
Reference = Annotated[str, Field(min_length=1, max_length=100)]
Wallet = Annotated[str, Field(pattern=ADDRESS)]
Amount = Annotated[str, Field(pattern=AMOUNT, description="decimal, in whole units of the asset")]
Hash = Annotated[str, Field(pattern=HASH)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class NewAddress(_Model):
    """The same reference gives the same address."""

    chain: Chain
    asset: Asset
    reference: Reference


class Address(NewAddress):
    id: str
    address: Wallet
    created_at: str


class Deposit(_Model):
    """`failed`: the chain took it back."""

    id: str
    address: Wallet
    sender: Annotated[Wallet, Field(alias="from")]
    amount: Amount
    asset: Asset
    chain: Chain
    tx_hash: Hash
    log_index: Annotated[int, Field(ge=0)]
    block_number: Annotated[int, Field(ge=0)]
    confirmations: Annotated[int, Field(ge=0)]
    status: Literal["detected", "confirmed", "failed"]
    created_at: str


class Deposits(_Model):
    deposits: list[Deposit]


class NewTransfer(_Model):
    """From the money that came in under `from_reference`."""

    from_reference: Reference
    to: Wallet
    amount: Amount
    asset: Asset
    chain: Chain
    reference: Reference


class Transfer(NewTransfer):
    """`failed`: nothing was sent, and nothing will be."""

    id: str
    status: Literal["pending", "completed", "failed"]
    tx_hash: Hash | None
    failure_code: str | None
    created_at: str


class Transfers(_Model):
    transfers: list[Transfer]


class ErrorBody(_Model):
    code: str
    message: str


class Error(_Model):
    error: ErrorBody


class Webhook(_Model):
    """`X-Timestamp`: seconds; `X-Signature`: hex HMAC-SHA256(secret, timestamp + "." + body)."""

    id: str
    type: Literal[
        "deposit.detected",
        "deposit.confirmed",
        "deposit.failed",
        "transfer.completed",
        "transfer.failed",
    ]
    created_at: str
    data: Deposit | Transfer


_MODELS = (NewAddress, Address, Deposits, NewTransfer, Transfer, Transfers, Error, Webhook)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The first answer is repeated; other parameters under the same key are a 409.",
}


def openapi() -> JSON:
    """Return the OpenAPI 3.1 document of the contract."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Custodian of USDC on Base",
            "version": "1",
            "description": "What Bloxtr8 needs of a custodian. JSON throughout.",
        },
        "security": [{"key": []}],
        "paths": _paths(),
        "webhooks": {"event": {"post": _webhook()}},
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> JSON:
    return {
        "/v1/addresses": {
            "post": _operation("A deposit address for a reference", "NewAddress", "Address", 201)
        },
        "/v1/addresses/{address}/deposits": {
            "get": _operation(
                "What came to an address", None, "Deposits", 200, _parameter("address", "path")
            )
        },
        "/v1/transfers": {
            "post": _operation("Send", "NewTransfer", "Transfer", 201),
            "get": _operation(
                "Transfers by reference", None, "Transfers", 200, _parameter("reference", "query")
            ),
        },
        "/v1/transfers/{id}": {
            "get": _operation("One transfer", None, "Transfer", 200, _parameter("id", "path"))
        },
    }


def _operation(
    summary: str, takes: str | None, gives: str, status: int, parameter: JSON | None = None
) -> JSON:
    made: JSON = {
        "summary": summary,
        "responses": {
            str(status): _content("done", gives),
            "4XX": _content("refused", "Error"),
            "5XX": _content("nobody knows", "Error"),
        },
    }
    parameters = [entry for entry in (parameter, _KEY if takes else None) if entry]
    if parameters:
        made["parameters"] = parameters
    if takes is not None:
        made["requestBody"] = {"required": True, **_content(None, takes)}
    return made


def _webhook() -> JSON:
    return {
        "summary": "Tell what happened",
        "requestBody": {"required": True, **_content(None, "Webhook")},
        "responses": {"2XX": {"description": "taken; anything else is repeated"}},
    }


def _content(description: str | None, name: str) -> JSON:
    schema = {"$ref": f"#/components/schemas/{name}"}
    made: JSON = {"content": {"application/json": {"schema": schema}}}
    return made if description is None else {"description": description, **made}


def _parameter(name: str, place: str) -> JSON:
    return {"name": name, "in": place, "required": True, "schema": {"type": "string"}}


def _schemas() -> JSON:
    found: JSON = {}
    for model in _MODELS:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return dict(sorted(found.items()))
