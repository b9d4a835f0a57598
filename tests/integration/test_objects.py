"""Files in the store, over HTTP to an S3 that is not Amazon's."""

import io
from collections.abc import AsyncIterator

import aiohttp
import pytest

from bloxtr8.config import S3Settings
from bloxtr8.dev import process
from bloxtr8.errors import UpstreamUnavailable
from bloxtr8.store.objects import ObjectMissing, ObjectStore, ObjectTooLarge


@pytest.fixture
async def store(s3: S3Settings) -> AsyncIterator[ObjectStore]:
    made = ObjectStore(s3)
    yield made
    await made.close()


async def test_what_is_put_is_read_and_can_be_deleted(store: ObjectStore) -> None:
    await store.put("a/b", b"hello", content_type="text/plain")
    assert await store.get("a/b", bytes_max=5) == b"hello"
    await store.put("a/b", io.BytesIO(b"again"), content_type="text/plain")
    assert await store.get("a/b", bytes_max=5) == b"again"
    await store.delete("a/b")
    await store.delete("a/b")
    with pytest.raises(ObjectMissing):
        await store.get("a/b", bytes_max=5)


async def test_more_than_asked_for_is_not_read(store: ObjectStore) -> None:
    await store.put("big", b"x" * 200_000, content_type="text/plain")
    with pytest.raises(ObjectTooLarge):
        await store.get("big", bytes_max=199_999)


async def test_a_link_hands_out_an_attachment_with_its_name(store: ObjectStore) -> None:
    await store.put("k", b"data", content_type="image/png")
    link = await store.presign("k", filename='snow"☃.png', content_type="image/png")
    async with aiohttp.ClientSession() as session, session.get(link) as answer:
        assert await answer.read() == b"data"
        assert answer.headers["Content-Disposition"] == (
            "attachment; filename*=UTF-8''snow%22%E2%98%83.png"
        )
        assert answer.headers["Content-Type"] == "image/png"
    assert "X-Amz-Expires=60" in link


async def test_links_name_the_address_that_browsers_reach(s3: S3Settings) -> None:
    s3.public_url = "https://files.example"
    store = ObjectStore(s3)
    link = await store.presign("k", filename="k", content_type="image/png")
    await store.close()
    assert link.startswith(f"https://files.example/{s3.bucket}/k?")


async def test_a_store_that_does_not_answer_is_named_unavailable(s3: S3Settings) -> None:
    s3.endpoint_url = f"http://127.0.0.1:{process.free_port()}"
    s3.connect_timeout_s = s3.timeout_s = 0.2
    store = ObjectStore(s3)
    with pytest.raises(UpstreamUnavailable):
        await store.put("k", b"", content_type="text/plain")
    with pytest.raises(UpstreamUnavailable):
        await store.get("k", bytes_max=1)
    with pytest.raises(UpstreamUnavailable):
        await store.delete("k")
    await store.close()
