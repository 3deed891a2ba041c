"""Whatever is given as a name is that one name to the server, or refused: never a part of another path."""

import random
from collections.abc import Awaitable, Callable

import pytest
from tests.support.served_api import Served

from omnitide.model.spec import AgentSpec
from omnitide.sdk import AsyncClient, Target
from omnitide.sdk.errors import FabricError, Invalid, NotFound

FIXED = (
    *("a/b", "/", "//", "hello/scale", "hello/../other", "../jobs/x", "..", ".", "...", "a/..", "%", "%2F", "%2e%2e"),
    *("hello?dry_run=true", "hello#x", "hello;x=1", "hello ", " hello", "+", "&", "=", "ä", "☃", "日本", "\\", "a\\b"),
    *("hello\n", "\x00", "\t", "\x7f", "\u2028", "\udcff", "Hello", "hello%00", "http://x/", "@", ":", "*", "x" * 300),
)
ALPHABET = "/?#%.&+;:@\\\"'<>{}|^`~ \t\n\0aé☃\u202e\ud800"


def names() -> list[str]:
    chance = random.Random(1)
    return [*FIXED, *("".join(chance.choices(ALPHABET, k=chance.randint(1, 6))) for _ in range(60))]


@pytest.fixture
async def sdk(served: Served) -> AsyncClient:
    await served.deploy("hello")
    return AsyncClient(Target(url=served.server.url, token=served.token))


Ask = Callable[[AsyncClient, str], Awaitable[object]]
ASKS: dict[str, Ask] = {
    "agents.get": lambda sdk, name: sdk.get_agent(name),
    "agents.delete": lambda sdk, name: sdk.delete_agent(name),
    "agents.deploy": lambda sdk, name: sdk.deploy_agent(name, AgentSpec(command=("x",))),
    "agents.scale": lambda sdk, name: sdk.scale_agent(name, 1),
    "of a namespace": lambda sdk, name: sdk.get_agent("hello", namespace=name),
    "namespaces.delete": lambda sdk, name: sdk.delete_namespace(name),
    "jobs.cancel": lambda sdk, name: sdk.cancel_job(name),
    "nodes.drain": lambda sdk, name: sdk.drain_node(name),
    "nodes.remove": lambda sdk, name: sdk.remove_node(name),
    "instances.explain": lambda sdk, name: sdk.explain_instance(name),
    "instances.exec": lambda sdk, name: sdk.exec_instance(name, ["true"]),
    "secrets.set": lambda sdk, name: sdk.set_secret("default", name, b"x"),
    "tokens.revoke": lambda sdk, name: sdk.revoke_token(name),
}


@pytest.mark.parametrize("what", sorted(ASKS))
async def test_a_name_that_is_none_reaches_nothing_else(served: Served, sdk: AsyncClient, what: str) -> None:
    before = served.runtime.committed().revision
    for name in names():
        with pytest.raises((NotFound, Invalid)) as refused:
            await ASKS[what](sdk, name)
        assert refused.value.code in ("not-found", "invalid", "malformed"), (name, refused.value.problem)
    assert served.runtime.committed().revision == before, "nothing was changed"
    await sdk.close()


async def test_no_name_at_all_is_refused_before_it_is_sent(served: Served, sdk: AsyncClient) -> None:
    for what, ask in ASKS.items():
        with pytest.raises(FabricError, match="empty") as refused:
            await ask(sdk, "")
        assert refused.value.code == "invalid", what
    await sdk.close()


async def test_a_slash_in_a_name_is_one_for_any_client(served: Served) -> None:
    await served.deploy("hello")
    for path in ("agents/hello%2Fscale", "agents/hello%2fscale", "agents/hello%252Fscale"):
        answer = await served.client.post(f"/v1/namespaces/default/{path}", json={"replicas": 2})
        assert answer.status_code in (404, 405), answer.text
    answer = await served.client.get("/v1/namespaces/default/agents/x%2Fy")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "x/y" in answer.json()["detail"]
    answer = await served.client.get("/v1/nodes/n%2Fb")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no node 'n/b'"), "as it was given"
    answer = await served.client.get("/v1/nodes/n%252Fb")
    assert answer.json()["detail"] == "there is no node 'n%2Fb'"
