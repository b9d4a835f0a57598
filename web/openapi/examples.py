"""Examples of bodies and answers: given for what readers meet first, made for the rest."""

from typing import Any

from web.openapi.schemas import Schema, Schemas

_ID = "0199d7a2-6c1e-7d53-9c0b-2f1f0c9b7e11"
_MOMENT = "2026-11-22T14:05:09.300Z"
_LATER = "2026-11-29T14:05:09.300Z"
_SHA = "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"
_DEPTH_MAX = 12
_ARTICLE = (
    "The experience was handed over without the badge system that section 3 names; both sides"
    " agree on the facts."
)

# By the name of a field, wherever it stands.
_FIELDS: dict[str, Any] = {
    "universe_id": "5795192361",
    "root_place_id": "16839312345",
    "place_id": "16839312345",
    "roblox_id": "261",
    "group_id": "35111222",
    "title": "Skyline Tycoon, 41k visits",
    "summary": "Complete tycoon with shop, pets and daily quests.",
    "included_assets": "The experience with all places, passes, badges and group funds.",
    "conditions": "Includes 7 days of help with the data stores.",
    "statement": _ARTICLE,
    "verdict": _ARTICLE,
    "reason": "Partial delivery, shown by evidence 3 and 5.",
    "text": _ARTICLE,
    "note": "Looked at the case together with both sides.",
    "display_name": "Mira",
    "email": "mira@example.com",
    "locale": "en",
    "timezone": "Europe/Berlin",
    "currency": "USD",
    "minor": 125_000,
    "decimal": "1250.00",
    "version": 1,
    "delivery_days": 7,
    "tags": ["tycoon", "pets"],
    "ref": "L-7Q2K9FA",
    "contract_ref": "C-9T4HW0Z",
    "sha256": _SHA,
    "document_sha256": _SHA,
    "final_sha256": _SHA,
    "file_sha256": _SHA,
    "payload_sha256": _SHA,
    "address": "0x52908400098527886E0F7030069857D2E4169EE7",
    "deposit_address": "0x52908400098527886E0F7030069857D2E4169EE7",
    "signature": "0x" + "1b" * 65,
    "until": _LATER,
    "start": "22:00",
    "end": "07:00",
    "zone": "Europe/Berlin",
    "url": "https://www.roblox.com/games/16839312345/Skyline-Tycoon",
    "next_cursor": None,
    "missing_consents": [],
    "question_id": None,
    "error": None,
    "ended_at": None,
}
_MODELS: dict[str, Any] = {
    "NewListingIn": {
        "universe_id": "5795192361",
        "title": "Skyline Tycoon, 41k visits",
        "summary": "Complete tycoon with shop, pets and daily quests.",
        "category": "TYCOON",
        "tags": ["tycoon", "pets"],
        "price": {"minor": 150_000, "currency": "USD"},
        "min_offer": {"minor": 100_000, "currency": "USD"},
        "delivery_days": 7,
        "visibility": "PUBLIC",
    },
    "ListingChange": {"price": {"minor": 140_000, "currency": "USD"}},
    "Profile": {"display_name": "Mira", "timezone": "Europe/Berlin"},
    "SignIn": {"document_sha256": _SHA, "consent": True},
    "ConsentGiven": {"document": "TERMS", "version": "2026-01"},
    "FindExperience": {"universe_id": "5795192361"},
    "Resolve": {
        "outcome": "SPLIT",
        "seller_amount": {"minor": 100_000, "currency": "USD"},
        "verdict": _ARTICLE,
        "reason": "Partial delivery, shown by evidence 3 and 5.",
    },
    "DraftIn": {
        "amount": {"minor": 125_000, "currency": "USD"},
        "conditions": "Includes 7 days of help with the data stores.",
    },
    "OutageIn": {
        "scope": "ROBLOX",
        "started_at": "2026-11-22T12:00:00.000Z",
        "reason": "Roblox answers every second request with an error.",
    },
    "OutageEnd": {"reason": "Roblox has answered everything for an hour."},
    "Jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "alg": "EdDSA"}]},
}


# Fields whose meaning depends on what they stand in.
_OF_MODEL: dict[str, dict[str, Any]] = {
    "ListingOut": {
        "status": "ACTIVE",
        "category": "TYCOON",
        "price_band": "under-5k",
        "visibility": "PUBLIC",
        "hold_reason": None,
        "guild_id": None,
        "allowed_actions": ["edit", "pause", "cancel"],
    },
    "OfferOut": {
        "ref": "O-M3XK2PD",
        "status": "PENDING",
        "proposed_by": "SELLER",
        "round": 2,
        "decline_reason": None,
        "note": None,
        "contract_id": None,
        "allowed_actions": ["withdraw"],
    },
    "EscrowOut": {
        "ref": "T-9T4HW0Z",
        "status": "DELIVERED",
        "rail": "STRIPE",
        "dispute": None,
        "settlement": None,
        "allowed_actions": ["release", "dispute", "propose_settlement"],
    },
    "HoldOut": {"active": False, "since": None, "kind": None},
    "Delivery": {"method": "GROUP_TRANSFER"},
    "SettlementOut": {"by": "SELLER"},
    "SettlementEntry": {"by": "BUYER", "end": "REJECTED", "ended_at": _LATER},
    "PersonBrief": {"side": "BUYER", "status": "ACTIVE", "tier": "TIER_1"},
    "OperationOut": {
        "kind": "RELEASE",
        "status": "SENT",
        "approval_id": None,
        "finished_at": None,
        "result": None,
    },
    "NewContractOut": {"ref": "C-9T4HW0Z", "status": "PENDING_SIGNATURE", "rail": "STRIPE"},
    "PersonOut": {"tier": "TIER_1", "avatar_url": None},
    "UserPublic": {"tier": "TIER_1", "avatar_url": None},
    "Me": {"tier": "TIER_1", "avatar_url": None, "status": "ACTIVE", "staff_role": None},
    "RiskOut": {"level": "LOW", "factors": ["AGE_LT_365"]},
    "SnapshotOut": {"name": "Skyline Tycoon", "ownership": "OWNER", "visits": "41208"},
    "StaffUser": {"tier": "TIER_1", "status": "ACTIVE"},
}


def example(schema: Schema, schemas: Schemas, name: str = "", depth: int = 0) -> Any:
    """Return a value that `schema` allows; `name` is the field's."""
    model = schema.get("$ref", "").rpartition("/")[2]
    if model in _MODELS:
        return _MODELS[model]
    if model in _OF_MODEL and depth <= _DEPTH_MAX:
        return _made(schemas.resolved(schema), schemas, name, depth + 1) | _OF_MODEL[model]
    found = schemas.resolved(schema)
    if "default" in found and found["default"] not in ("", None, []):
        return found["default"]
    if name in _FIELDS and _fits(_FIELDS[name], found):
        return _FIELDS[name]
    if depth > _DEPTH_MAX:
        return None
    return _made(found, schemas, name, depth + 1)


def _made(schema: Schema, schemas: Schemas, name: str, depth: int) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for joined in ("anyOf", "oneOf", "allOf"):
        if joined in schema:
            chosen: Schema = next((s for s in schema[joined] if s.get("type") != "null"), {})
            return example(chosen, schemas, name, depth)
    kind = schema.get("type")
    if kind == "object":
        fields = schema.get("properties", {})
        return {key: example(value, schemas, key, depth) for key, value in fields.items()}
    if kind == "array":
        return [example(schema.get("items", {}), schemas, name, depth)]
    return _scalar(schema, name)


def _scalar(schema: Schema, name: str) -> Any:
    kind = schema.get("type")
    if kind == "boolean":
        return False
    if kind in ("integer", "number"):
        return max(1, schema.get("minimum", 1))
    if kind != "string":
        return {}
    if schema.get("format") == "date-time":
        return _MOMENT
    if schema.get("format") == "uuid" or name == "id" or name.endswith("_id"):
        return _ID
    text = name.replace("_", " ") or "text"
    return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength", 200)]


def _fits(value: Any, schema: Schema) -> bool:
    """Tell whether a value given by name is of the field's kind."""
    kinds = {"string": str, "integer": int, "array": list, "object": dict, "null": type(None)}
    allowed = [schema, *schema.get("anyOf", ())]
    for kind in allowed:
        if "enum" in kind or "const" in kind:
            if value in kind.get("enum", [kind.get("const")]):
                return True
        elif isinstance(value, kinds.get(kind.get("type", ""), ())):
            return True
    return False
