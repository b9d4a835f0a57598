"""Settings: one tree, read from the environment (`BLOXTR8_<GROUP>__<NAME>`).

A variable may also name a file that holds the value: `BLOXTR8_STRIPE__API_KEY_FILE=/run/secrets/x`.
"""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "BLOXTR8_"
_FILE_SUFFIX = "_FILE"
_SECRET_FILE_BYTES_MAX = 64 * 1024
# The present one and the one before or after it. Anybody could sign with an empty one.
Rotating = Annotated[list[Annotated[SecretStr, Field(min_length=1)]], Field(max_length=2)]


class KafkaSettings(BaseModel):
    bootstrap: str = Field("localhost:9092", description="host:port, comma-separated")
    partitions: int = Field(12, ge=1, le=1000, description="of every topic; fixed at provision")
    replication: int = Field(1, ge=1, le=5, description="3 in production")
    app_id: str = Field("bloxtr8", description="consumer group; never changed")
    instance_id: str = Field("", description="static membership id of this worker")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_username: str = ""
    sasl_password: SecretStr = SecretStr("")
    ca_file: str = Field("", description="PEM of the broker's certificate authority")
    schema_registry_url: str = Field("", description="empty: plain Protobuf without framing")
    session_timeout_s: float = Field(15.0, gt=0)
    rebalance_timeout_s: float = Field(60.0, gt=0)
    fetch_wait_s: float = Field(
        0.5, gt=0, le=10, description="a broker's longest wait for new messages before it answers"
    )
    standby_replicas: int = Field(0, ge=0, le=4, description="1 in production: fast fail-over")
    publish_timeout_s: float = Field(10.0, gt=0, description="wait for a broker's acknowledgement")


class PostgresSettings(BaseModel):
    dsn: SecretStr = Field(
        SecretStr("postgresql://bloxtr8@localhost:5432/bloxtr8"),
        description="database of the mirror",
    )
    pool_min: int = Field(1, ge=0, le=100)
    pool_max: int = Field(10, ge=1, le=100)


class WebSettings(BaseModel):
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    public_url: str = Field("http://localhost:8080", description="origin that users see")
    metrics_token: SecretStr = Field(
        SecretStr(""), description="bearer for /metrics; empty: loopback"
    )
    trusted_proxies: list[str] = Field(default_factory=list)
    rate_percent: int = Field(
        100, ge=1, le=100_000, description="of the rate limits: a share when several serve"
    )
    cors_origins: list[str] = Field(default_factory=list)


class StripeSettings(BaseModel):
    api_base: str = Field("https://api.stripe.com", description="the sandbox sets its own")
    api_key: SecretStr = SecretStr("")
    publishable_key: str = ""
    webhook_secrets: Rotating = Field(
        default_factory=list, description="at most two, during rotation"
    )
    connect_webhook_secrets: Rotating = Field(
        default_factory=list, description="of the endpoint for connected accounts; at most two"
    )
    livemode: bool = False


class BaseChainSettings(BaseModel):
    """USDC on Base. `chain_id` 8453 is Base, 84532 Base Sepolia; any other needs `usdc_address`."""

    rpc_urls: list[SecretStr] = Field(
        default_factory=list,
        description="of the chain, often with a key in them; the first that answers is read, "
        "all have to agree before money counts",
    )
    chain_id: int = Field(8453, ge=1, description="8453 Base, 84532 Base Sepolia")
    usdc_address: str = Field("", description="empty: the canonical contract of the chain")
    custody: Literal["custodian", "onchain"] = Field(
        "custodian", description="who holds the keys: a custodian over HTTP, or this service"
    )
    depths: list[str] = Field(
        default_factory=list,
        description='"minor units:blocks", rising: escrows up to that sum count a deposit after '
        "so many blocks; all others when its block is finalized",
    )
    poll_s: float = Field(2.0, gt=0, description="between looks at the chain")
    connect_timeout_s: float = Field(3.0, gt=0)
    timeout_s: float = Field(10.0, gt=0)
    log_blocks: int = Field(2000, ge=64, description="asked for at once; nodes have limits")
    keystore_file: str = Field(
        "", description="onchain: encrypted seed of the wallets (Web3 V3; with KMS: its ciphertext)"
    )
    keystore_password: SecretStr = SecretStr("")
    fee_max_wei: int = Field(5 * 10**9, gt=0, description="onchain: never offered more per gas")
    gas_alert_wei: int = Field(10**16, ge=0, description="onchain: hot wallet below this: alert")
    float_max_minor: int = Field(
        0, ge=0, description="onchain: hot wallet above this: alert; 0: never"
    )


class KmsSettings(BaseModel):
    """AWS KMS, for self-custody without keys on our machines; never set where pages are served."""

    hot_key: str = Field(
        "", description="of the hot wallet: id or ARN of an ECC_SECG_P256K1 key; empty: no KMS"
    )
    seed_key: str = Field("", description="id or ARN of the key that the deposits' seed is under")
    endpoint_url: str = Field("", description="empty: Amazon's")
    region: str = "eu-central-1"
    access_key_id: str = Field("", description="empty: as the machine's role says")
    secret_access_key: SecretStr = SecretStr("")
    connect_timeout_s: float = Field(2.0, gt=0)
    timeout_s: float = Field(5.0, gt=0)


class CustodianSettings(BaseModel):
    api_base: str = Field("", description="of a custodian that speaks docs/custodian-openapi.json")
    api_key: SecretStr = SecretStr("")
    webhook_secrets: Rotating = Field(
        default_factory=list, description="at most two, during rotation"
    )


class ScreeningSettings(BaseModel):
    """Who is asked about wallets. Both are always needed; one without a key answers nothing."""

    trm_base: str = "https://api.trmlabs.com"
    trm_api_key: SecretStr = SecretStr("")
    trm_chain: str = Field("base", description="TRM's name of the chain")
    trm_medium_from: int = Field(2, ge=1, le=15, description="riskScoreLevel of TRM; below: LOW")
    trm_high_from: int = Field(10, ge=1, le=15, description="riskScoreLevel of TRM")
    chainalysis_base: str = "https://public.chainalysis.com"
    chainalysis_api_key: SecretStr = SecretStr("")
    timeout_s: float = Field(10.0, gt=0)
    kept_hours: float = Field(24.0, gt=0, le=24, description="how long an answer counts")

    @model_validator(mode="after")
    def _levels_rise(self) -> "ScreeningSettings":
        if self.trm_medium_from > self.trm_high_from:
            raise ValueError("trm_medium_from must not be above trm_high_from")
        return self


class ReconciliationSettings(BaseModel):
    look_again_s: float = Field(
        20.0, ge=0, le=600, description="a difference counts when it is still there after so long"
    )


class DiscordSettings(BaseModel):
    """The application at Discord that people sign in with."""

    base: str = Field("https://discord.com", description="the sandbox sets its own")
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    bot_token: SecretStr = SecretStr("")


class RobloxSettings(BaseModel):
    """The OAuth application at Roblox, the Open Cloud key, and the hosts; sandboxes set those."""

    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    api_key: SecretStr = Field(SecretStr(""), description="of Open Cloud, for ownership checks")
    apis_base: str = "https://apis.roblox.com"
    games_base: str = "https://games.roblox.com"
    groups_base: str = "https://groups.roblox.com"
    users_base: str = "https://users.roblox.com"
    thumbnails_base: str = "https://thumbnails.roblox.com"
    processes: int = Field(
        1, ge=1, le=1000, description="that ask Roblox; they share its rate limits evenly"
    )


class S3Settings(BaseModel):
    """Where files are: contracts, evidence, exports."""

    endpoint_url: str = Field("", description="empty: Amazon's; the sandbox sets its own")
    public_url: str = Field(
        "", description="where browsers reach the store, when that is another address"
    )
    region: str = "eu-central-1"
    bucket: str = "bloxtr8"
    access_key_id: str = Field("", description="empty: as the machine's role says")
    secret_access_key: SecretStr = SecretStr("")
    connect_timeout_s: float = Field(2.0, gt=0)
    timeout_s: float = Field(10.0, gt=0, description="of one read from or write to the store")
    object_lock: bool = Field(
        False, description="the bucket can lock: heads of the audit chain stay for 7 years"
    )


class PolicySettings(BaseModel):
    """Versions of the documents that people agree to, and who may trade for how much."""

    terms: str = Field("2026-01", max_length=20)
    privacy: str = Field("2026-01", max_length=20)
    age_18: str = Field("1", max_length=20)
    roblox_policy: str = Field(
        "", max_length=20, description="needed in live mode: nobody lists without one"
    )
    tier2_above_minor: int = Field(
        1_000_000, ge=0, description="USD cents: trades above need TIER_2 on both sides"
    )
    governing_law: str = Field(
        "the law of the country of Bloxtr8's seat", max_length=200, description="of contracts"
    )
    venue: str = Field("the courts at Bloxtr8's seat", max_length=200, description="of contracts")


class KeysSettings(BaseModel):
    directory: Path = Field(
        Path(".bloxtr8/keys"),
        description="signing keys of the producers, trust list, token keys; made in development",
    )
    create: bool = Field(True, description="make missing keys; false in production")


class ClockSettings(BaseModel):
    offset_file: str = Field("", description="sandbox only: time travel shared by all processes")


class Settings(BaseSettings):
    """Everything a process of Bloxtr8 can be told."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        env_file=None,
        # What is wrong is named, never shown: it may be a secret.
        hide_input_in_errors=True,
    )

    mode: Literal["sandbox", "live"] = Field("sandbox", description="live refuses time travel")
    role: Literal["all", "agents", "web"] = Field("all", description="what a worker runs")
    data_dir: Path = Field(Path(".bloxtr8"), description="local state of this process")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_json: bool = Field(True, description="false: for reading by people")
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    stripe: StripeSettings = Field(default_factory=StripeSettings)
    base: BaseChainSettings = Field(default_factory=BaseChainSettings)
    kms: KmsSettings = Field(default_factory=KmsSettings)
    custodian: CustodianSettings = Field(default_factory=CustodianSettings)
    screening: ScreeningSettings = Field(default_factory=ScreeningSettings)
    reconciliation: ReconciliationSettings = Field(default_factory=ReconciliationSettings)
    discord: DiscordSettings = Field(default_factory=DiscordSettings)
    roblox: RobloxSettings = Field(default_factory=RobloxSettings)
    s3: S3Settings = Field(default_factory=S3Settings)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    keys: KeysSettings = Field(default_factory=KeysSettings)
    clock: ClockSettings = Field(default_factory=ClockSettings)

    @model_validator(mode="after")
    def _keys_stay_away_from_pages(self) -> "Settings":
        """Refuse wallets' keys where pages are served; in the sandbox one process does all."""
        serves = self.role == "web" or (self.mode == "live" and self.role == "all")
        if serves and (self.base.keystore_password.get_secret_value() or self.kms.hot_key):
            raise ValueError(
                "wallet keys (BLOXTR8_BASE__KEYSTORE_PASSWORD, BLOXTR8_KMS__HOT_KEY) belong to"
                " workers of role `agents` only"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, _FileVariables(settings_cls))


class _FileVariables(PydanticBaseSettingsSource):
    """Values from files that `…_FILE` variables name; secrets stay out of the environment."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("the whole tree is read at once")

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name, path in os.environ.items():
            if not (name.startswith(PREFIX) and name.endswith(_FILE_SUFFIX)):
                continue
            *groups, leaf = name[len(PREFIX) : -len(_FILE_SUFFIX)].lower().split("__")
            field = _setting(groups, leaf)
            if field is None:
                continue
            branch = tree
            for group in groups:
                branch = branch.setdefault(group, {})
            text = _read_secret(Path(path))
            # As in a variable: a list is JSON.
            branch[leaf] = json.loads(text) if get_origin(field.annotation) is list else text
        return tree


def _setting(groups: list[str], leaf: str) -> FieldInfo | None:
    model: type[BaseModel] = Settings
    for group in groups:
        field = model.model_fields.get(group)
        if field is None or not isinstance(field.annotation, type):
            return None
        model = field.annotation
    return model.model_fields.get(leaf)


def _read_secret(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(_SECRET_FILE_BYTES_MAX + 1)
    if len(raw) > _SECRET_FILE_BYTES_MAX:
        raise ValueError(f"{path} is larger than a secret can be")
    return raw.decode().strip()
