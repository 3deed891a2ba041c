"""Generated requests against the OpenAPI document: answers are as it says, and none is a fault of ours."""

import asyncio
import threading
from collections.abc import Generator
from http.cookiejar import DefaultCookiePolicy

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.memory_runtime import MemoryRuntime

from omnitide import __version__
from omnitide.api.app import make_app
from omnitide.api.documents import with_documents
from omnitide.api.openapi import openapi_document
from omnitide.api.server import ApiServer
from omnitide.fabric import commands as cm
from omnitide.model.spec import AgentSpec, JobSpec
from omnitide.operations import events, paging, perform
from omnitide.operations.registry import REGISTRY

EXAMPLES = 6
"""For each operation. Seeded: the same ones each time."""

DOCUMENT = openapi_document(with_documents(REGISTRY), __version__)
ALIKE = ("POST /v1/foreseen", "POST /v1/namespaces/{namespace}/jobs")
"""They take the specs of `PUT .../agents/{name}`, whose every bound is tried there; `make soak` tries them here too."""
OPERATIONS = [f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def schema() -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_dict(DOCUMENT)


class Running:
    """A server in a thread of its own, since generated tests are not asynchronous."""

    def __init__(self) -> None:
        self.runtime = MemoryRuntime()
        for name in ("alpha", "beta"):
            self.runtime.add_node(name)
        spec = AgentSpec(command=("serve",))
        self.runtime.apply(cm.DeployAgent(agent="agent-1", namespace="default", name="hello", spec=spec, replicas=2))
        self.runtime.apply(cm.RunJob(job="job-1", namespace="default", name="once", spec=JobSpec(command=("true",))))
        self.runtime.settle()
        self.token = self.runtime.api_token()
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        # One connection for thousands of requests. Each still stands alone: no cookie of one is sent with the next.
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    async def _serve(self) -> None:
        server = await ApiServer.start(make_app(self.runtime), "127.0.0.1", 0, None)
        self.url = server.url
        self._ready.set()
        await self._stop.wait()
        await server.close()

    def __enter__(self) -> "Running":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()


@pytest.fixture(scope="module")
def running() -> Generator[Running]:
    with pytest.MonkeyPatch.context() as patch, Running() as made:
        # Revisions are made up too: most of them never come, and there is no use in waiting for each.
        patch.setattr(perform, "REVISION_WAIT_S", 0.001)
        patch.setattr(paging, "_WAIT_S", 0.001)
        patch.setattr(events, "_FUTURE_WAIT_S", 0.001)
        yield made


@pytest.mark.parametrize("operation", OPERATIONS)
def test_answers_conform(operation: str, schema: schemathesis.BaseSchema, running: Running) -> None:
    ask(operation, schema, running, every_bound=operation not in ALIKE)


@pytest.mark.soak
@pytest.mark.parametrize("operation", ALIKE)
def test_answers_conform_at_every_bound(operation: str, schema: schemathesis.BaseSchema, running: Running) -> None:
    ask(operation, schema, running, every_bound=True)


def ask(operation: str, schema: schemathesis.BaseSchema, running: Running, *, every_bound: bool) -> None:
    """Requests of an operation are made up here: for all together it takes half a minute, which each worker of a run
    would pay for `schema.parametrize` when it collects the tests."""
    schema.config.phases.coverage.enabled = every_bound
    (made,) = get_all_tests(schema=schema.include(name=operation), test_func=conforms, settings=None, given_kwargs=None)
    _, test = made.ok()
    test(running=running)


@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def conforms(case: schemathesis.Case, running: Running) -> None:
    response = case.call(
        base_url=running.url,
        session=running.session,
        headers={"Authorization": f"Bearer {running.token}"},
        timeout=20,
        allow_redirects=False,
    )
    case.validate_response(
        response,
        checks=[
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            status_code_conformance,
        ],
    )
    if response.status_code != 503:
        case.validate_response(response, checks=[not_a_server_error])
    assert response.status_code != 500
