"""What simulated instances print: made when somebody reads it, the same for everybody. Nothing is kept.

Time is cut into slots, of which each has one line or none: so a place in the output is the number of a slot, and
reading on from there needs no memory of what was read.
"""

import datetime as dt
from typing import Final, NamedTuple

from omnitide.demo.chance import between, draw, pick
from omnitide.demo.life import Being
from omnitide.demo.workloads import Voice
from omnitide.demo.world import World, busy

SLOT_MS: Final = 400
"""Two and a half lines a second at most."""


class Line(NamedTuple):
    at_ms: int
    stream: str
    text: str


_PATHS: Final = (
    "/",
    "/cart",
    "/login",
    "/api/items",
    "/api/items/4711",
    "/search?q=lamp",
    "/assets/app.js",
    "/account",
)
_TOPICS: Final = ("orders", "mails", "resize", "exports", "invoices")
_AGENTS: Final = ("Mozilla/5.0", "okhttp/4.12", "curl/8.9.1", "python-httpx/0.27")


def line_at(being: Being, world: World, slot: int) -> Line | None:
    """The line of a slot while it runs; None: it has nothing to say then."""
    seed, at_ms = world.seed, slot * SLOT_MS
    hour = world.hour(at_ms)
    if draw(seed, "say", being.instance, slot) > 0.08 + 0.8 * busy(being.shape.curve, hour):
        return None
    at_ms += int(draw(seed, "at", being.instance, slot) * SLOT_MS)
    bad = draw(seed, "bad", being.instance, slot) < 0.015
    text = _text(being.shape.voice, being, seed, slot, at_ms, bad=bad)
    return Line(at_ms, "stderr" if bad and being.shape.voice != "access" else "stdout", text)


def first_lines(being: Being, at_ms: int) -> list[Line]:
    """What it says when it starts."""
    release = f" {being.release}" if being.release else ""
    lines = [Line(at_ms, "stdout", f"{_clock(at_ms)} INFO {being.workload}{release} starting (simulated)")]
    if being.wish == "crash-loop":
        lines.append(Line(at_ms + 40, "stdout", f"{_clock(at_ms + 40)} INFO reading /etc/app.toml"))
    elif being.shape.kept:
        lines.append(Line(at_ms + 90, "stdout", f"{_clock(at_ms + 90)} LOG  recovering from {being.shape.kept}/wal"))
    return lines


def last_lines(being: Being, at_ms: int, code: int | None, *, out_of_memory: bool, asked: bool) -> list[Line]:
    """What it says when it ends."""
    clock = _clock(at_ms)
    if asked:
        return [Line(at_ms, "stdout", f"{clock} INFO SIGTERM: finishing what is under way, then ending")]
    if being.job and code == 0:
        return [Line(at_ms, "stdout", f"{clock} INFO done")]
    if code == 78:
        text = "option 'sync.mode' is not known; allowed are: push, pull"
        return [Line(at_ms, "stderr", f"{clock} FATAL /etc/app.toml:12: {text}")]
    if out_of_memory:
        # Whoever is killed says nothing of it; a while before, it may.
        return [Line(at_ms, "stderr", f"{clock} WARN  heap at 97 %, nothing left to free")]
    if code is None:
        return []
    traceback = 'Traceback (most recent call last):\n  File "/opt/app/main.py", line 218, in handle'
    if being.shape.voice in ("model", "worker", "access"):
        return [Line(at_ms, "stderr", f"{traceback}\nConnectionResetError: [Errno 104] Connection reset by peer")]
    return [Line(at_ms, "stderr", f"{clock} FATAL assertion failed: queue.len() <= queue.capacity(); exit {code}")]


def _text(voice: Voice, being: Being, seed: int, slot: int, at_ms: int, *, bad: bool) -> str:
    clock = _clock(at_ms)

    def number(low: float, high: float, word: str) -> int:
        return int(between(low, high, seed, word, being.instance, slot))

    ms = number(2000, 9000, "ms") if bad else number(1, 90, "ms")
    path = pick(_PATHS, seed, "path", being.instance, slot)
    match voice:
        case "access":
            status = number(500, 505, "status") if bad else pick((200, 200, 304, 404), seed, "status", being.name, slot)
            address = f"203.0.113.{number(1, 255, 'address')}"
            agent = pick(_AGENTS, seed, "agent", being.instance, slot)
            when = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
            return f'{address} - - [{when}] "GET {path} HTTP/1.1" {status} {number(300, 60_000, "size")} "-" "{agent}"'
        case "api":
            told = f'"ts":"{clock}","trace":"{number(0, 1 << 30, "trace"):08x}","ms":{ms}'
            if bad:
                return f'{{"level":"error",{told},"msg":"upstream timed out"}}'
            return f'{{"level":"info",{told},"route":"{path}","status":200}}'
        case "worker":
            task = f"{pick(_TOPICS, seed, 'topic', being.instance, slot)} {number(1e5, 9e5, 'task')}"
            if bad:
                return f"{clock} ERROR {task}: no answer, trying again in 30 s"
            return f"{clock} INFO  {task} done in {ms * 11} ms, {number(0, 40, 'queue')} wait"
        case "cache":
            return f"{clock} * {number(8000, 90_000, 'ops')} ops/s, {number(88, 99, 'hits')} % hits"
        case "database":
            if bad:
                return f"{clock} LOG  slow statement ({ms} ms): orders by state, without an index"
            return f"{clock} LOG  checkpoint: {number(20, 900, 'buffers')} buffers in {ms} ms"
        case "stream":
            if bad:
                return f"{clock} WARN consumer {number(1, 40, 'who')} is {number(1000, 90_000, 'lag')} messages behind"
            return f"{clock} INFO {number(200, 6000, 'in')} messages, {number(3, 60, 'clients')} clients"
        case "model":
            if bad:
                return f"{clock} WARN batch of {number(8, 64, 'batch')} took {ms} ms, the limit is 2000"
            return f"{clock} INFO batch={number(1, 32, 'batch')} tokens={number(40, 2000, 'tokens')} latency={ms * 6}ms"
        case "sensor":
            if bad:
                return f"{clock} W sensor {number(1, 900, 'sensor'):03}: value out of range, dropped"
            mean = between(8, 31, seed, "mean", being.instance, slot)
            return f"{clock} I {number(10, 400, 'readings')} readings, mean {mean:.1f}"
        case "plain":
            return f"{clock} simulated output of {being.name}, line {slot % 100_000}"


def _clock(at_ms: int) -> str:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")[:23] + "Z"
