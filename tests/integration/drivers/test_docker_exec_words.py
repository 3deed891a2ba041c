"""What an engine says in place of a program that it could not execute, and programs that say such words themselves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from omnitide.drivers.docker import execs
from omnitide.drivers.docker.answers import ExecState
from omnitide.drivers.docker.execs import DockerExec
from omnitide.drivers.protocol import DriverError, RunKey
from omnitide.drivers.streams import ExecRequest
from omnitide.model.probes import Probe
from omnitide.node.probes.asking import Target, ask
from omnitide.node.probes.judge import Answer
from support.container_engine import DockerEngine
from support.driver_kit import DEADLINE_S, Kit, all_of

WORDS = (
    "OCI runtime exec failed: exec failed: unable to start container process: chdir to cwd: no such file: unknown",
    'Error: runc: exec failed: exec: "x": permission denied: OCI permission denied',
    "unable to find user x: no matching entries in passwd file",
    "sh: 1: exec failed: executable file x not found",
)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["engine", "podman_engine"])
async def containers(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_docker: Callable[[Path, DockerEngine], Kit],
) -> AsyncIterator[Kit]:
    """One container that runs, and goes on: what is tried here are further programs in it."""
    made = make_docker(tmp_path_factory.mktemp("containers"), request.getfixturevalue(request.param))
    await made.start("a", "run")
    yield made
    await made.clear()


async def said(kit: Kit, *words: str, **more: object) -> tuple[bytes, int | None]:
    program = await kit.exec("a", *words, **more)
    try:
        out, err, ended = await all_of(program)
    finally:
        await program.close()
    return (out + err).replace(b"\r", b""), ended.code


async def test_a_program_that_says_such_words_and_ends_has_run(containers: Kit) -> None:
    cases = [("tell", code, (text, "more"), False) for code in (127, 126, 1) for text in WORDS]
    cases += [("tell", 127, (text, "more"), True) for text in WORDS]
    cases += [("fail", 127, (text, "more"), False) for text in WORDS]
    cases += [("exit", code, (), False) for code in (127, 126)]
    found = await asyncio.gather(
        *(said(containers, word, str(code), *text, terminal=tty) for word, code, text, tty in cases)
    )
    assert found == [("".join(f"{line}\n" for line in text).encode(), code) for _, code, text, _ in cases]


async def test_one_that_was_over_before_the_engine_was_asked_has_run(
    containers: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = DockerExec._state

    async def late(program: DockerExec) -> ExecState:
        if program._ahead and not program._ahead[0].done():
            return ExecState()
        while (state := await known(program)).running:
            await asyncio.sleep(0.02)
        return state

    monkeypatch.setattr(DockerExec, "_state", late)
    cases = [("tell", (text,)) for text in WORDS] + [("fail", (text, "more")) for text in WORDS]
    found = await asyncio.gather(*(said(containers, word, "127", *text) for word, text in cases))
    assert found == [("".join(f"{line}\n" for line in text).encode(), 127) for _, text in cases]


async def test_a_program_that_says_such_words_and_runs_on_is_not_waited_for(
    containers: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begins(text: str, terminal: bool) -> bytes:
        program = await containers.exec("a", "tell", "on", text, terminal=terminal)
        try:
            got = b""
            while not got.endswith(b"\n"):
                got += getattr(await program.receive(), "data", b"")
        finally:
            await program.close()
        return got.replace(b"\r", b"")

    # Whoever waited for its end would wait for ever.
    monkeypatch.setattr(execs, "BEGIN_DEADLINE", DEADLINE_S)
    async with asyncio.timeout(DEADLINE_S / 2):
        got = await asyncio.gather(*(begins(text, terminal) for text in WORDS for terminal in (False, True)))
    assert got == [f"{text}\n".encode() for text in WORDS for _ in (False, True)]


async def test_an_exec_probe_that_says_such_words_is_heard(containers: Kit) -> None:
    target = Target(containers.driver, RunKey("a", 1), ())

    async def heard(code: int, text: str) -> Answer:
        probe = Probe(type="exec", command=("/conform", "tell", str(code), text), timeout=int(DEADLINE_S * 1000))
        return await ask(probe, target)

    cases = [(code, text) for code in (0, 1, 127) for text in WORDS]
    assert await asyncio.gather(*(heard(code, text) for code, text in cases)) == [
        Answer(False, f"/conform ended with {code}: {text[-200:]}") if code else Answer(True) for code, text in cases
    ]


async def test_what_the_engine_could_not_execute_is_refused(containers: Kit) -> None:
    async def refusal(terminal: bool, *command: str, **more: str) -> str:
        with pytest.raises(DriverError) as refused:
            await containers.driver.exec(RunKey("a", 1), ExecRequest(command=command, terminal=terminal, **more))
        assert refused.value.permanent
        return refused.value.cause

    for terminal in (False, True):
        assert await asyncio.gather(
            refusal(terminal, "nosuch"),
            refusal(terminal, ""),
            refusal(terminal, "/proc/version"),
            refusal(terminal, "/conform", "who", working_directory="/nosuch"),
            refusal(terminal, "/conform", "who", user="nosuch"),
            refusal(terminal, "/conform", "who", user="0:nosuch"),
        ) == ["command-not-found", "command-not-found", "permission", "working-directory", "user", "user"]
