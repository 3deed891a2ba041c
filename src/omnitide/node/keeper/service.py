"""Answers clients: one method for each operation of the protocol."""

import os
import socket
from collections.abc import Callable
from functools import partial

from omnitide.node.keeper import protocol, spec
from omnitide.node.keeper.cgroup import Cgroups
from omnitide.node.keeper.client import Client, peer_uid
from omnitide.node.keeper.instance import MAX_FOLLOWERS, Instance
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.notes import note
from omnitide.node.keeper.paths import MAX_ATTEMPT
from omnitide.node.keeper.protocol import Json, Refused
from omnitide.node.keeper.run import Run, public, told
from omnitide.node.keeper.supervisor import Supervisor

MAX_CLIENTS = 320
"""One for each program that runs inside an instance, and some more."""
_ACCEPT_AGAIN_MS = 100
_PAGE_RUNS = 500
_PAGE_BYTES = 1 << 20
_MAX_KEYS = 10_000
_YEAR_MS = 366 * 24 * 3600 * 1000

Answer = Json | None
"""None: the answer comes later."""


class Service:
    """The keeper's side of the socket."""

    def __init__(
        self,
        *,
        loop: Loop,
        listener: socket.socket,
        supervisor: Supervisor,
        cgroups: Cgroups | None,
        about: Json,
        upgrade: Callable[[Json], None],
        shutdown: Callable[[bool, int | None], None],
    ) -> None:
        """`about` is told in the hello. `upgrade` checks the request (raises Refused) and arranges for the exec."""
        self._loop = loop
        self._listener = listener
        self._supervisor = supervisor
        self._cgroups = cgroups
        self._about = about
        self._upgrade = upgrade
        self._shutdown = shutdown
        self._clients: set[Client] = set()
        self._operations: dict[str, Callable[[Client, Json], Answer]] = {
            "info": lambda _client, _message: self._info(),
            "start": self._start,
            "stop": lambda _, message: self._stop(message),
            "signal": lambda _, message: self._signal(message),
            "list": lambda _, message: self._list(message),
            "watch": lambda client, _: self._watch(client),
            "remove": lambda _, message: self._remove(message),
            "remove-instance": lambda _, message: self._remove_instance(message),
            "exec": self._exec,
            "exec-signal": self._exec_signal,
            "zygote": self._zygote,
            "fence": lambda _, message: self._fence(message),
            "follow": self._follow,
            "cancel": self._cancel,
            "upgrade": lambda _, message: self._begin_upgrade(message),
            "shutdown": lambda _, message: self._begin_shutdown(message),
        }
        self._listen()

    def _listen(self) -> None:
        self._loop.watch(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # Out of descriptors or memory; the client waits in the backlog meanwhile.
            note(f"a client cannot be accepted: {error.strerror}")
            self._loop.forget(self._listener.fileno())
            self._loop.after(_ACCEPT_AGAIN_MS, self._listen)
            return
        uid = peer_uid(connection)
        if uid not in (os.geteuid(), 0) or len(self._clients) >= MAX_CLIENTS:
            note(f"a client of user {uid} is turned away; {len(self._clients)} are connected")
            connection.close()
            return
        self._clients.add(Client(self._loop, connection, self._handle, self._gone))

    def _gone(self, client: Client) -> None:
        self._clients.discard(client)
        self._supervisor.execs.gone(client)
        for request, instance in client.following.items():
            instance.followers.pop((client.number, request), None)

    def _handle(self, client: Client, message: Json) -> None:
        request = message.get("id")
        operation = message.get("op")
        if not isinstance(request, int) or not isinstance(operation, str):
            client.refuse("a request needs a number 'id' and a string 'op'")
            return
        if not client.greeted:
            self._hello(client, request, message)
            return
        try:
            method = self._operations.get(operation)
            if method is None:
                raise Refused(f"this keeper knows no operation {operation!r}", cause="unsupported", permanent=True)
            answer = method(client, message)
        except Refused as error:
            client.send({"id": request, "error": protocol.refusal(error)})
            return
        if answer is not None:
            client.send({"id": request, "ok": answer})

    def _hello(self, client: Client, request: int, message: Json) -> None:
        wanted = message.get("protocol")
        if message.get("op") != "hello" or not isinstance(wanted, int):
            client.refuse("the first request must be hello, with the protocol number")
            return
        if wanted < protocol.OLDEST_VERSION:
            client.refuse(f"protocol {wanted} is older than {protocol.OLDEST_VERSION}, the oldest spoken here")
            return
        client.greeted = True
        client.send({"id": request, "ok": {"protocol": min(wanted, protocol.VERSION), **self._about}})

    def _info(self) -> Answer:
        return {
            **self._about,
            "enforces": list(self._cgroups.enforces) if self._cgroups else [],
            "tracks": bool(self._cgroups and self._cgroups.tracks),
            "problems": [
                *(self._cgroups.problems if self._cgroups else ["control groups are switched off"]),
                *self._losses(),
            ],
            "live": len(self._supervisor.live),
            "zygotes": self._supervisor.zygotes.pids(),
            "followers": sum(len(instance.followers) for instance in self._supervisor.instances.values()),
        }

    def _losses(self) -> list[str]:
        """Output of what runs that is not kept, as where the disk is full."""
        losing = [it.log for it in self._supervisor.instances.values() if it.log is not None and it.log.lost_bytes]
        return [f"output of {len(losing)} instances cannot be kept: {losing[-1].lost_because}"] if losing else []

    def _run(self, message: Json) -> Run | None:
        attempt = protocol.number(message, "attempt", least=1, most=MAX_ATTEMPT)
        return self._supervisor.find(protocol.text(message, "instance"), attempt)

    def _start(self, client: Client, message: Json) -> Answer:
        launch = spec.parse(protocol.record(message, "launch"))
        self._supervisor.start(launch, partial(_reply_started, client, protocol.number(message, "id")))
        return None

    def _stop(self, message: Json) -> Answer:
        grace = None if message.get("grace_ms") is None else protocol.number(message, "grace_ms", most=_YEAR_MS)
        run = self._run(message)
        if run is not None:
            self._supervisor.stopper.stop(run, grace)
        return {}

    def _signal(self, message: Json) -> Answer:
        run = self._run(message)
        if run is None:
            raise Refused("there is no such run", cause="not-running", permanent=True)
        self._supervisor.stopper.signal(run, protocol.number(message, "signal", least=1, most=spec.MAX_SIGNAL))
        return {}

    def _exec(self, client: Client, message: Json) -> Answer:
        """Run a further program inside a run, with the descriptors that came with this request."""
        descriptors = client.take_descriptors()
        try:
            run = self._run(message)
            if run is None:
                raise Refused("there is no such run", cause="not-running", permanent=True)
            wanted = spec.parse_exec(message, run.environment)
            self._supervisor.execs.begin(client, protocol.number(message, "id"), run, wanted, descriptors)
        finally:
            for fd in descriptors:
                os.close(fd)
        return None

    def _exec_signal(self, client: Client, message: Json) -> Answer:
        number = protocol.number(message, "signal", least=1, most=spec.MAX_SIGNAL)
        self._supervisor.execs.signal(client, protocol.number(message, "pid"), number)
        return {}

    def _zygote(self, client: Client, message: Json) -> Answer:
        """Have a zygote ready, from which runs can then be forked."""
        wanted = spec.parse_zygote(message)
        self._supervisor.zygotes.ensure(*wanted, partial(_reply_ready, client, protocol.number(message, "id")))
        return None

    def _list(self, message: Json) -> Answer:
        """A page of runs after (`instance`, `attempt`), and whether more follow."""
        after = (protocol.text(message, "instance", ""), protocol.number(message, "attempt", 0))
        page: list[object] = []
        size = 0
        for run in self._supervisor.runs():
            if run.key <= after:
                continue
            if len(page) >= _PAGE_RUNS or size > _PAGE_BYTES:
                return {"runs": page, "more": True}
            page.append(public(run))
            size += sum(len(name) + len(value) for name, value in run.labels.items()) + 512
        return {"runs": page, "more": False}

    def _watch(self, client: Client) -> Answer:
        client.watching = True
        return {}

    def changed(self, run: Run) -> None:
        """Tell the watchers."""
        watchers = [client for client in self._clients if client.watching]
        if not watchers:
            return
        message = protocol.framed(b'{"push":"run","run":%b}' % told(run))
        for client in watchers:
            client.send_encoded(message)

    def _remove(self, message: Json) -> Answer:
        run = self._run(message)
        if run is not None:
            self._supervisor.remove(run)
        return {}

    def _remove_instance(self, message: Json) -> Answer:
        self._supervisor.remove_instance(protocol.text(message, "instance"))
        return {}

    def _fence(self, message: Json) -> Answer:
        keys = protocol.items(message, "keys")
        if len(keys) > _MAX_KEYS:
            raise Refused(f"more than {_MAX_KEYS} keys", cause="invalid", permanent=True)
        runs: list[Run] = []
        for key in keys:
            match key:
                case [str(instance), int(attempt)]:
                    run = self._supervisor.find(instance, attempt)
                case _:
                    raise Refused("field 'keys' must hold [instance, attempt]", cause="invalid", permanent=True)
            if run is not None:
                runs.append(run)
        self._supervisor.stopper.renew_fences(runs, protocol.number(message, "within_ms", most=_YEAR_MS))
        return {}

    def _follow(self, client: Client, message: Json) -> Answer:
        """Where an instance's log ends; answered once that is beyond what the client has, or nothing more will come."""
        name = protocol.text(message, "instance")
        sequence = protocol.number(message, "sequence", 0)
        position = protocol.number(message, "position", 0)
        instance = self._supervisor.instances.get(name)
        if instance is None:
            return {"live": False, "sequence": 0, "position": 0}
        state = _log_state(instance)
        if not state["live"] or (state["sequence"], state["position"]) != (sequence, position):
            return state
        if len(instance.followers) >= MAX_FOLLOWERS:
            raise Refused(f"{MAX_FOLLOWERS} readers follow {name} already", cause="resources", permanent=False)
        request = protocol.number(message, "id")
        instance.followers[client.number, request] = partial(_reply_followed, client, request, instance)
        client.following[request] = instance
        return None

    def _cancel(self, client: Client, message: Json) -> Answer:
        """Take back a `follow` that waits."""
        request = protocol.number(message, "request")
        instance = client.following.pop(request, None)
        if instance is not None:
            instance.followers.pop((client.number, request), None)
        return {}

    def _begin_upgrade(self, message: Json) -> Answer:
        self._upgrade(message)
        return {}

    def _begin_shutdown(self, message: Json) -> Answer:
        grace = None if message.get("grace_ms") is None else protocol.number(message, "grace_ms", most=_YEAR_MS)
        kill = protocol.flag(message, "stop_runs")
        if self._supervisor.live and not kill:
            raise Refused(f"{len(self._supervisor.live)} runs are live", cause="busy", permanent=False)
        self._shutdown(kill, grace)
        return {}

    def close(self) -> None:
        """Hang up on everybody."""
        for client in list(self._clients):
            client.close()


def _reply_started(client: Client, request: int, outcome: "Run | Refused") -> None:
    if isinstance(outcome, Refused):
        client.send({"id": request, "error": protocol.refusal(outcome)})
    else:
        client.send_encoded(protocol.framed(b'{"id":%d,"ok":%b}' % (request, told(outcome))))


def _reply_ready(client: Client, request: int, refused: Refused | None) -> None:
    if refused is not None:
        client.send({"id": request, "error": protocol.refusal(refused)})
    else:
        client.send({"id": request, "ok": {}})


def _log_state(instance: Instance) -> Json:
    log = instance.log
    return {
        "live": any(not run.ended for run in instance.runs.values()),
        "sequence": log.sequence if log else 0,
        "position": log.position if log else 0,
    }


def _reply_followed(client: Client, request: int, instance: Instance) -> None:
    client.following.pop(request, None)
    client.send({"id": request, "ok": _log_state(instance)})
