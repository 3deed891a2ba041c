"""What a call sends, what an answer means, when it is tried again: against a transport that answers by script."""

import contextlib
import json
import random
from collections.abc import Callable, Iterator

import httpx
import msgspec
import pytest

from omnitide.model.problem import problem
from omnitide.model.spec import AgentSpec
from omnitide.sdk import errors as er
from omnitide.sdk.async_client import AsyncClient
from omnitide.sdk.client import Client
from omnitide.sdk.exchange import Retries
from omnitide.sdk.target import Target

TARGET = Target("http://127.0.0.1:1", "oma_secret")
NAMESPACE = {"name": "team", "agents": 0, "jobs": 0, "created_ms": 1, "revision": 4}
CHANGED = {"namespace": NAMESPACE, "change": "created", "revision": 4}

Handler = Callable[[httpx.Request], httpx.Response]


def refuse(code: str, **more: object) -> httpx.Response:
    cause = problem(code, "no", **more)  # type: ignore[arg-type]
    return httpx.Response(cause.status, content=msgspec.json.encode(cause))


class Script:
    """Answers in order; keeps what was asked."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: object) -> Client:
        return Client(
            TARGET,
            transport=httpx.MockTransport(self),
            sleep=self.waits.append,
            rng=random.Random(1),
            **options,  # type: ignore[arg-type]
        )


def ok(value: object, revision: int = 4) -> httpx.Response:
    return httpx.Response(200, json=value, headers={"omnitide-revision": str(revision)})


def test_a_write_whose_answer_is_lost_is_sent_again_with_the_same_key() -> None:
    script = Script(httpx.ReadError("reset"), refuse("not-serving"), ok(CHANGED))
    assert script.client().create_namespace("team").namespace is not None
    keys = [request.headers["idempotency-key"] for request in script.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert [json.loads(request.content) for request in script.asked] == [{"name": "team"}] * 3
    assert len(script.waits) == 2


def test_who_waits_is_told_of_each_try_for_an_answer_that_is_to_come_at_once() -> None:
    """Not where news are waited for: those may well take their time."""
    told: list[str] = []

    @contextlib.contextmanager
    def waiting() -> Iterator[None]:
        told.append("waits")
        yield
        told.append("over")

    script = Script(httpx.ReadError("reset"), ok(CHANGED))
    script.client(waiting=waiting).create_namespace("team")
    assert told == ["waits", "waits", "over"], "the first try broke off"
    told.clear()
    script = Script(refuse("not-found"), refuse("not-found"))
    client = script.client(waiting=waiting)
    for more in ({"min_revision": 5}, {"within_s": 1.0}):
        with pytest.raises(er.NotFound):
            client.get_agent("web", **more)  # type: ignore[arg-type]
    assert told == []


def test_two_writes_have_two_keys() -> None:
    script = Script(ok(CHANGED), ok(CHANGED))
    client = script.client()
    client.create_namespace("team")
    client.create_namespace("team")
    first, second = (request.headers["idempotency-key"] for request in script.asked)
    assert first != second


def test_attempts_are_bounded_and_waits_grow_below_their_ceiling() -> None:
    script = Script(*[httpx.ConnectError("refused")] * 9)
    retries = Retries(attempts=5, first_s=1.0, longest_s=3.0)
    with pytest.raises(er.Unreachable) as caught:
        script.client(retries=retries).get_version()
    assert len(script.asked) == 5
    assert all(wait <= ceiling for wait, ceiling in zip(script.waits, [1, 2, 3, 3], strict=True))
    assert "refused" in caught.value.detail
    assert caught.value.retryable
    assert caught.value.hint


def test_an_answer_says_how_long_to_wait() -> None:
    script = Script(
        refuse("throttled", retry_after_s=7), ok({"version": "1", "api": "v1", "feature_level": 1, "python": ""})
    )
    script.client().get_version()
    assert script.waits == [7.0]


def test_a_refusal_is_not_repeated() -> None:
    script = Script(refuse("already-exists"))
    with pytest.raises(er.AlreadyExists):
        script.client().create_namespace("team")
    assert len(script.asked) == 1


def test_a_certificate_of_another_fabric_is_not_tried_again() -> None:
    script = Script(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"))
    with pytest.raises(er.Unreachable) as caught:
        script.client().get_version()
    assert "another fabric" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("not-found", er.NotFound),
        ("conflict", er.Conflict),
        ("precondition-failed", er.PreconditionFailed),
        ("invalid", er.Invalid),
        ("impossible", er.Impossible),
        ("unauthenticated", er.Unauthorized),
        ("forbidden", er.Forbidden),
        ("limit", er.LimitReached),
        ("trimmed", er.Trimmed),
        ("expired", er.Gone),
        ("internal", er.FabricError),
    ],
)
def test_each_problem_is_an_exception_of_its_own(code: str, kind: type[er.FabricError]) -> None:
    with pytest.raises(kind) as caught:
        Script(refuse(code)).client().get_node("alpha")
    assert type(caught.value) is kind
    assert caught.value.code == code


def test_an_answer_that_is_no_fabrics_is_said_to_be_none() -> None:
    for answer in (httpx.Response(404, text="<html>nginx"), ok({"unexpected": 1})):
        with pytest.raises(er.FabricError) as caught:
            Script(answer).client().get_version()
        assert caught.value.code == "not-a-fabric"


def test_reads_show_what_was_written_before() -> None:
    page = {"items": [], "revision": 9}
    script = Script(ok(page, 3), ok(CHANGED, 8), ok(page, 9))
    client = script.client()
    client.list_namespaces()
    client.create_namespace("team")
    client.list_namespaces()
    assert "min_revision" not in script.asked[0].url.params
    assert script.asked[2].url.params["min_revision"] == "8"
    assert (client.written, client.seen) == (8, 9)


def test_after_a_restore_reads_do_not_wait_for_revisions_that_are_gone() -> None:
    script = Script(ok(CHANGED, 800), refuse("behind"), ok({"items": [], "revision": 5}, 5))
    client = script.client()
    client.create_namespace("team")
    assert client.list_namespaces().revision == 5
    assert "min_revision" not in script.asked[2].url.params
    assert client.written == 0


def test_a_dry_run_is_nothing_that_was_written() -> None:
    script = Script(ok({**CHANGED, "dry_run": True}, 8))
    client = script.client()
    client.create_namespace("team", dry_run=True)
    assert client.written == 0
    assert script.asked[0].url.params["dry_run"] == "true"


def test_a_condition_is_sent_as_http_has_it() -> None:
    script = Script(refuse("precondition-failed"), refuse("precondition-failed"))
    client = script.client()
    for revision in (0, 41):
        with pytest.raises(er.PreconditionFailed):
            client.deploy_agent("hello", AgentSpec(command=("x",)), if_match=revision)
    assert script.asked[0].headers["if-none-match"] == "*"
    assert script.asked[1].headers["if-match"] == '"41"'


def test_specs_are_sent_in_peoples_units() -> None:
    script = Script(refuse("conflict"))
    with pytest.raises(er.Conflict):
        script.client().deploy_agent("hello", AgentSpec(command=("x",)), replicas=3, namespace="team")
    assert script.asked[0].url.path == "/v1/namespaces/team/agents/hello"
    assert json.loads(script.asked[0].content) == {"spec": {"command": ["x"]}, "replicas": 3}
    assert script.asked[0].headers["authorization"] == "Bearer oma_secret"


def test_lists_are_followed_to_their_end() -> None:
    pages = [
        {"items": [NAMESPACE], "revision": 1, "next_cursor": "c1"},
        {"items": [{**NAMESPACE, "name": "z"}], "revision": 1, "next_cursor": ""},
    ]
    script = Script(*map(ok, pages))
    assert [one.name for one in script.client().namespaces()] == ["team", "z"]
    assert script.asked[1].url.params["cursor"] == "c1"


def test_names_cannot_change_the_path() -> None:
    script = Script(refuse("not-found"))
    with pytest.raises(er.NotFound):
        script.client().get_node("../../v1/tokens?x=1")
    assert script.asked[0].url.raw_path == b"/v1/nodes/..%2F..%2Fv1%2Ftokens%3Fx%3D1"


def test_output_comes_piece_by_piece_and_ends_with_what_went_wrong() -> None:
    lines = [
        {"at_ms": 1, "stream": "stdout", "attempt": 1, "text": "one\n"},
        {"problem": msgspec.to_builtins(problem("node-away", "alpha is away", since_ms=5))},
    ]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    output = Script(httpx.Response(200, content=body)).client().read_logs("i")
    assert next(output).text == "one\n"
    with pytest.raises(er.NodeAway) as caught:
        next(output)
    assert caught.value.since_ms == 5


def test_readiness_is_an_answer_even_where_it_is_no() -> None:
    told = {"ok": False, "checks": [{"name": "event-log", "ok": False, "detail": "disk full"}]}
    assert not Script(httpx.Response(503, json=told)).client().check_ready().ok


async def test_the_other_flavour_does_the_same() -> None:
    script = Script(httpx.ReadError("reset"), ok(CHANGED), ok({"items": [NAMESPACE], "revision": 4}))
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async with AsyncClient(TARGET, transport=httpx.MockTransport(script), sleep=sleep) as client:
        await client.create_namespace("team")
        assert [one.name async for one in client.namespaces()] == ["team"]
    assert script.asked[0].headers["idempotency-key"] == script.asked[1].headers["idempotency-key"]
    assert len(waits) == 1
