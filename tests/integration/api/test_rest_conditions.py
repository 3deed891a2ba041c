"""Two who change the same thing, and one who asks twice."""

import asyncio

from tests.support.memory_runtime import until
from tests.support.served_api import SPEC, Served, is_problem

AGENT = "/v1/namespaces/default/agents/hello"


async def test_of_many_who_change_what_they_read_one_wins_and_the_others_are_told(served: Served) -> None:
    made = await served.deploy()
    etag = f'"{made["agent"]["revision"]}"'
    served.runtime.held = asyncio.Event()
    racing = [
        asyncio.ensure_future(
            served.client.post(AGENT + "/scale", json={"replicas": number}, headers={"If-Match": etag})
        )
        for number in range(2, 10)
    ]
    await until(lambda: served.runtime.submits_held == len(racing))
    served.runtime.held.set()
    responses = await asyncio.gather(*racing)
    assert sorted(response.status_code for response in responses) == [200, *[412] * 7]
    winner = next(response for response in responses if response.status_code == 200)
    now = (await served.client.get(AGENT)).json()
    assert now["replicas"] == winner.json()["agent"]["replicas"]
    for response in responses:
        if response is not winner:
            problem = is_problem(response, 412, "precondition-failed")
            assert problem["subject"] == "agent default/hello"


async def test_the_etag_of_a_change_is_the_one_for_the_next(served: Served) -> None:
    made = await served.client.put(AGENT, json={"spec": SPEC}, headers={"If-None-Match": "*"})
    for replicas in (2, 3, 4):
        made = await served.client.post(
            AGENT + "/scale", json={"replicas": replicas}, headers={"If-Match": made.headers["etag"]}
        )
        assert made.status_code == 200
        served.runtime.settle()  # instances starting do not move the agent's own revision


async def test_creating_only_what_is_not_there(served: Served) -> None:
    assert (await served.client.put(AGENT, json={"spec": SPEC}, headers={"If-None-Match": "*"})).status_code == 201
    again = await served.client.put(AGENT, json={"spec": SPEC}, headers={"If-None-Match": "*"})
    is_problem(again, 412, "precondition-failed")


async def test_changing_only_what_is_there(served: Served) -> None:
    response = await served.client.put(AGENT, json={"spec": SPEC}, headers={"If-Match": '"7"'})
    is_problem(response, 412, "precondition-failed")
    assert "hello" not in str(served.runtime.state.agent_names)


async def test_a_repeated_request_is_done_once(served: Served) -> None:
    """A client that lost the answer asks again."""
    headers = {"Idempotency-Key": "run-1"}
    body = {"spec": {"command": ["true"]}}
    responses = await asyncio.gather(
        *(served.client.post("/v1/namespaces/default/jobs", json=body, headers=headers) for _ in range(5))
    )
    assert {response.json()["job"]["id"] for response in responses} == {next(iter(served.runtime.state.jobs))}
    assert len(served.runtime.state.jobs) == 1
    replayed = [response.headers.get("omnitide-replayed") for response in responses]
    assert sorted(replayed, key=str) == [None, "true", "true", "true", "true"]
    assert len({response.json()["revision"] for response in responses}) == 1


async def test_the_same_key_for_another_request_is_refused(served: Served) -> None:
    headers = {"Idempotency-Key": "k"}
    await served.client.post("/v1/namespaces", json={"name": "a"}, headers=headers)
    for method, path, body in (
        ("POST", "/v1/namespaces", {"name": "b"}),
        ("POST", "/v1/namespaces?dry_run=false", {"name": "a"}),
        ("PUT", AGENT, {"spec": SPEC}),
    ):
        response = await served.client.request(method, path, json=body, headers=headers)
        is_problem(response, 422, "idempotency-mismatch")


async def test_keys_of_different_callers_are_different_keys(served: Served) -> None:
    headers = {"Idempotency-Key": "k"}
    assert (await served.client.post("/v1/namespaces", json={"name": "a"}, headers=headers)).status_code == 201
    other = {"Authorization": f"Bearer {served.runtime.api_token()}", **headers}
    assert (await served.client.post("/v1/namespaces", json={"name": "b"}, headers=other)).status_code == 201


async def test_a_read_at_the_revision_of_a_write_shows_it(served: Served) -> None:
    for number in range(20):
        made = await served.client.post("/v1/namespaces", json={"name": f"n{number}"})
        revision = made.json()["revision"]
        listed = await served.client.get("/v1/namespaces", params={"min_revision": revision})
        assert f"n{number}" in {item["name"] for item in listed.json()["items"]}
