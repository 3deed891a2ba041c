"""Secrets, configs and blobs over HTTP: values go in, and only what may comes out."""

import base64
import hashlib

import httpx
import pytest
from tests.support.memory_runtime import MemoryRuntime
from tests.support.served_api import Served

from omnitide.fabric.events import encode_entry
from omnitide.store.blobs import BlobLimits

WORD = b"open-sesame"
DATA = base64.b64encode(WORD).decode()
SECRET = "/v1/namespaces/default/secrets/db"
CONFIG = "/v1/namespaces/default/configs/nginx"


@pytest.fixture
def runtime(served: Served) -> MemoryRuntime:
    return served.runtime


@pytest.fixture
def http(served: Served) -> httpx.AsyncClient:
    return served.client


async def test_a_secret_goes_in_and_in_no_answer_comes_out(http: httpx.AsyncClient, runtime: MemoryRuntime) -> None:
    made = await http.put(SECRET, json={"data": DATA}, headers={"idempotency-key": "k"})
    assert (made.status_code, made.json()["change"]) == (201, "created")
    assert (await http.put(SECRET, json={"data": DATA})).json()["change"] == "unchanged"
    again = await http.put(SECRET, json={"data": base64.b64encode(b"other").decode()})
    assert (again.json()["change"], again.json()["secret"]["version"]) == ("updated", 2)
    shown = [made, again, await http.get(SECRET), await http.get("/v1/secrets"), await http.get("/v1/events")]
    assert [one.status_code for one in shown] == [201, 200, 200, 200, 200]
    for one in shown:
        assert DATA not in one.text
        assert WORD.decode() not in one.text
    events = [event for event in shown[-1].json()["items"] if event["subject"] == "secret/default/db"]
    assert [event["data"]["version"] for event in events] == [1, 2]
    assert "digest" not in events[0]["data"]
    assert "blob" not in events[0]["data"]


async def test_nothing_in_the_log_lets_a_value_be_guessed(http: httpx.AsyncClient, runtime: MemoryRuntime) -> None:
    await http.put(SECRET, json={"data": DATA}, headers={"idempotency-key": "k"})
    written = b"".join(map(encode_entry, runtime.log))
    body = f'{{"data":"{DATA}"}}'.encode()
    for guess in (WORD, DATA.encode(), body):
        assert guess not in written
        assert hashlib.sha256(guess).hexdigest().encode() not in written
    request = hashlib.sha256(f"PUT\0{SECRET}\0\0".encode() + body).hexdigest()
    assert request.encode() not in written


async def test_a_repetition_gets_the_first_answer_and_another_value_under_its_key_is_refused(
    http: httpx.AsyncClient,
) -> None:
    key = {"idempotency-key": "k"}
    await http.put(SECRET, json={"data": DATA}, headers=key)
    assert (await http.put(SECRET, json={"data": DATA}, headers=key)).headers["omnitide-replayed"] == "true"
    other = await http.put(SECRET, json={"data": base64.b64encode(b"other").decode()}, headers=key)
    assert other.json()["code"] == "idempotency-mismatch"


async def test_what_is_wrong_is_said_without_the_value(http: httpx.AsyncClient) -> None:
    bad = await http.put(SECRET, json={"data": "no base64, but s3cret"})
    assert (bad.status_code, "s3cret" in bad.text) == (422, False)
    large = base64.b64encode(bytes((512 << 10) + 1)).decode()
    assert (await http.put(SECRET, json={"data": large})).json()["code"] == "limit"
    assert (await http.put(SECRET.replace("default", "none"), json={"data": DATA})).status_code == 404
    assert (await http.get(SECRET)).status_code == 404
    assert (await http.delete(SECRET)).status_code == 404


async def test_a_dry_run_keeps_nothing(http: httpx.AsyncClient, runtime: MemoryRuntime) -> None:
    tried = await http.put(SECRET + "?dry_run=true", json={"data": DATA})
    assert (tried.json()["change"], tried.json()["dry_run"]) == ("created", True)
    assert (await http.get(SECRET)).status_code == 404
    assert await runtime.values().sweep(runtime.committed()) == 0


async def test_a_config_can_be_read_back(http: httpx.AsyncClient) -> None:
    await http.put(CONFIG, json={"data": DATA})
    assert (await http.get(CONFIG)).json()["data"] == DATA
    assert (
        "data" not in (await http.get("/v1/configs")).json()["items"][0]
        or not (await http.get("/v1/configs")).json()["items"][0]["data"]
    )
    assert (await http.delete(CONFIG)).json()["change"] == "deleted"


async def test_a_removed_secret_cannot_be_opened_any_more(http: httpx.AsyncClient, runtime: MemoryRuntime) -> None:
    await http.put(SECRET, json={"data": DATA})
    (one,) = runtime.state.provisions.values()
    assert (await runtime.values().open(one)).reveal() == WORD
    await http.delete(SECRET)
    with pytest.raises(Exception, match="cannot be had"):
        await runtime.values().open(one)


async def test_blobs_go_in_and_out(http: httpx.AsyncClient) -> None:
    data = bytes(range(256)) * 5000
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    put = await http.put("/v1/blobs/any", content=data)
    assert (put.status_code, put.json()["digest"], put.headers["location"]) == (201, digest, f"/v1/blobs/{digest}")
    assert (await http.put(f"/v1/blobs/{digest}", content=data)).status_code == 201
    got = await http.get(f"/v1/blobs/{digest}")
    assert got.content == data
    rest = await http.get(f"/v1/blobs/{digest}", headers={"range": "bytes=1000-"})
    assert (rest.status_code, rest.content == data[1000:]) == (206, True)
    listed = (await http.get("/v1/blobs")).json()
    assert [one["digest"] for one in listed["items"]] == [digest]
    assert (await http.delete(f"/v1/blobs/{digest}")).status_code == 200
    assert (await http.get(f"/v1/blobs/{digest}")).status_code == 404


async def test_what_is_wrong_with_a_blob(http: httpx.AsyncClient, runtime: MemoryRuntime) -> None:
    wrong = await http.put(f"/v1/blobs/sha256:{'0' * 64}", content=b"x")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "digest-mismatch")
    assert (await http.put("/v1/blobs/junk", content=b"x")).json()["code"] == "malformed"
    runtime.blob_limits = BlobLimits(total=10, blob=5)
    assert (await http.put("/v1/blobs/any", content=b"123456")).status_code == 413
    await http.put("/v1/blobs/any", content=b"12345")
    await http.put("/v1/blobs/any", content=b"abcde")
    full = await http.put("/v1/blobs/any", content=b"x")
    assert (full.status_code, full.json()["code"]) == (507, "storage-full")


async def test_who_may_not(served: Served) -> None:
    tokens = {"": 401, f"Bearer {served.runtime.join_token()}": 0}
    for token, status in tokens.items():
        async with httpx.AsyncClient(base_url=served.server.url, headers={"authorization": token}) as client:
            for method, path in (("GET", SECRET), ("PUT", SECRET), ("PUT", "/v1/blobs/any"), ("GET", "/v1/blobs")):
                answer = await client.request(method, path)
                assert answer.status_code in ((status,) if status else (401, 403)), (method, path, answer.text)
