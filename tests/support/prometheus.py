"""Debian's own Prometheus on loopback, and its promtool."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.fabric_processes import DEADLINE_S, until


def tool(name: str) -> str:
    """Skips where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus")
    return path


def promtool(*words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool("promtool"), *words], input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


class Prometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=10)

    def get(self, path: str, **query: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=query)
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression: str) -> list[Any]:
        return self.get("query", query=expression)["result"]

    def query_range(self, expression: str, seconds: int) -> list[Any]:
        now = time.time()
        return self.get("query_range", query=expression, start=str(now - seconds), end=str(now), step="1")["result"]

    def ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._client.get("/-/ready").status_code == 200
        return False

    def close(self) -> None:
        self._client.close()


@contextmanager
def running(configuration: Path, port: int) -> Generator[Prometheus]:
    """With data beside the configuration."""
    words = [tool("prometheus"), f"--config.file={configuration}", f"--web.listen-address=127.0.0.1:{port}"]
    words += [f"--storage.tsdb.path={configuration.parent / 'data'}", "--log.level=warn"]
    log = (configuration.parent / "prometheus.log").open("wb")
    with log, subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        made = Prometheus(f"http://127.0.0.1:{port}")
        try:
            until(made.ready, "Prometheus is ready")
            yield made
        finally:
            made.close()
            process.kill()
