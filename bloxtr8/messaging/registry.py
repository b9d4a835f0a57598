"""Confluent Schema Registry: the id under which a topic's schema is known, when one is used.

Source: Confluent Schema Registry API, `POST /subjects/{subject}/versions` and
`PUT /config/{subject}`.
"""

import asyncio
from pathlib import Path

import aiohttp

from bloxtr8.config import KafkaSettings
from bloxtr8.messaging.topics import TopicSpec

_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=3)
_ROOT = Path(__file__).resolve().parent.parent.parent


class SchemaRegistry:
    """Registers each topic's schema once and remembers its id. Without a URL it answers None."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._url = settings.schema_registry_url.rstrip("/")
        self._ids: dict[str, int] = {}
        self._lock = asyncio.Lock()

    async def schema_id(self, spec: TopicSpec) -> int | None:
        """Return the id of `spec`'s schema, None when no registry is configured.

        Raises aiohttp.ClientError when the registry does not answer.
        """
        if not self._url:
            return None
        known = self._ids.get(spec.name)
        if known is not None:
            return known
        async with self._lock, aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            return self._ids.setdefault(spec.name, await self._register(session, spec))

    async def _register(self, session: aiohttp.ClientSession, spec: TopicSpec) -> int:
        references: list[dict[str, str | int]] = []
        for name in _dependencies(spec.message.DESCRIPTOR.file.name):
            subject = name.replace("/", ".")
            await self._post(session, subject, name, list(references))
            references.append({"name": name, "subject": subject, "version": -1})
        subject = f"{spec.name}-value"
        compatibility = {"compatibility": "BACKWARD"}
        async with session.put(f"{self._url}/config/{subject}", json=compatibility) as answer:
            answer.raise_for_status()
        return await self._post(session, subject, spec.message.DESCRIPTOR.file.name, references)

    async def _post(
        self,
        session: aiohttp.ClientSession,
        subject: str,
        file_name: str,
        references: list[dict[str, str | int]],
    ) -> int:
        source = await asyncio.to_thread((_ROOT / file_name).read_text)
        body = {"schemaType": "PROTOBUF", "schema": source, "references": references}
        async with session.post(
            f"{self._url}/subjects/{subject}/versions",
            json=body,
            headers={"Content-Type": _CONTENT_TYPE},
        ) as answer:
            answer.raise_for_status()
            return int((await answer.json(content_type=None))["id"])


def _dependencies(file_name: str) -> list[str]:
    """Return our .proto files that `file_name` imports, each after what it needs itself."""
    from google.protobuf import descriptor_pool

    ordered: list[str] = []

    def visit(name: str) -> None:
        file = descriptor_pool.Default().FindFileByName(name)
        for dependency in file.dependencies:
            if dependency.name.startswith("proto/") and dependency.name not in ordered:
                visit(dependency.name)
                ordered.append(dependency.name)

    visit(file_name)
    return ordered
