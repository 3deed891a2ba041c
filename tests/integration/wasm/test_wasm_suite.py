"""`bench.wasm_suite` tells what passes from what does not, on cases of our own in the public suite's form."""

import json
from pathlib import Path

import pytest
from bench.wasm_suite import cases, run_all

from support import wasm_modules as text


async def test_cases_pass_and_fail_by_their_specification(tmp_path: Path) -> None:
    pytest.importorskip("wasmtime")
    suite = tmp_path / "suite"
    (suite / "given.dir").mkdir(parents=True)
    (suite / "given.dir" / "file").write_text("as it was")

    def case(name: str, wat: str, **spec: object) -> None:
        text.lay(suite, wat, f"{name}.wasm")
        if spec:
            (suite / f"{name}.json").write_text(json.dumps(spec))

    case("a-default", text.exits(0))
    case("b-code", text.exits(33), exit_code=33)
    case("c-wrong-code", text.exits(1))
    case("d-output", text.says("hello"), stdout="hello")
    case("e-wrong-output", text.says("hello"), stdout="good bye")
    case("f-arguments", text.shows("args"), args=["one"], stdout="f-arguments.wasm\0one\0")
    case("g-environment", text.shows("environ"), env={"b": "2", "a": "1"}, stdout="b=2\0a=1\0")
    case("h-no-environment", text.shows("environ"), env={}, stdout="")
    case("i-root", text.writes("file", "changed"), root="given.dir")
    case("j-directory", text.writes("file", "changed", directory=4), dirs=["given.dir"])
    case("k-malformed", text.STRANGE_IMPORT)
    outcomes = await run_all(list(cases(suite)), tmp_path / "work")
    failed = {outcome.name: outcome.why for outcome in outcomes if outcome.why}
    assert set(failed) == {"c-wrong-code", "e-wrong-output", "k-malformed"}
    assert "exit code 1, not 0" in failed["c-wrong-code"]
    assert "env.magic" in failed["k-malformed"]
    assert (suite / "given.dir" / "file").read_text() == "as it was"
