"""A fabric in memory behind a real API server in a thread of its own; its nodes do by themselves what they should."""

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from tests.support.memory_runtime import MemoryRuntime

from omnitide.api.app import make_app
from omnitide.api.server import ApiServer
from support.warm_command import OMNITIDE, WARM

T = TypeVar("T")


class MemoryFabric:
    """Started by `with`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime: MemoryRuntime
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.settling = True
        """Whether nodes do what they should as soon as something changes."""

    def __enter__(self) -> "MemoryFabric":
        self._thread.start()
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, coroutine: "object") -> object:
        future: Future[object] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)  # type: ignore[arg-type]
        return future.result(30)

    def call(self, function: Callable[[MemoryRuntime], T]) -> T:
        """Run a function where the fabric lives."""

        async def inside() -> T:
            return function(self.runtime)

        return self.run(inside())  # type: ignore[return-value]

    async def _start(self) -> None:
        self.runtime = MemoryRuntime()
        self.runtime.add_node("alpha")
        self.runtime.add_node("beta")
        self._server = await ApiServer.start(make_app(self.runtime), "127.0.0.1", 0, None)
        self.url = self._server.url
        self.token = self.folder / "token"
        self.token.write_text(self.runtime.api_token())
        self._settler = asyncio.ensure_future(self._settle())

    async def _settle(self) -> None:
        seen = 0
        while True:
            if self.settling:
                self.runtime.settle()
                seen = self.runtime.state.revision
                await self.runtime.wait_for(seen + 1, 0.05)
            else:
                await asyncio.sleep(0.02)

    async def _stop(self) -> None:
        self._settler.cancel()
        await asyncio.gather(self._settler, return_exceptions=True)
        self.runtime.stop()
        await self._server.close()

    # -- the command line --------------------------------------------------------------------------------------------

    def command(self, *words: str) -> list[str]:
        """Without a look whether what was deployed goes on running, unless a test asks for that: it takes its time."""
        if words[0] in ("deploy", "apply") and "--settle" not in words:
            words = (*words, "--settle", "0s")
        cut = words.index("--") if "--" in words else len(words)
        flags = ("--url", self.url, "--token-file", str(self.token))
        return [str(OMNITIDE), *words[:1], *flags, *words[1:cut], *words[cut:]]

    @contextlib.contextmanager
    def process(self, *words: str) -> "Generator[subprocess.Popen[str]]":
        """A command that runs beside the test, and is ended with it."""
        command = self.command(*words)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def cli(self, *words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as a process of its own; fails the test if its exit code is another."""
        ran = WARM.run(self.command(*words)[1:], input=stdin, cwd=self.folder, env=os.environ, timeout=60)
        assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran
