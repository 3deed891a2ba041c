"""How an agent runs: how many, with what, when it is started again, how it is stopped and updated, and what is asked
of its health."""

import re
from collections.abc import Callable
from typing import Final, cast

from omnitide.compose.context import Made
from omnitide.compose.quantities import MOST, NotThat, size, text, whole
from omnitide.compose.tree import Map, Seq
from omnitide.compose.view import View
from omnitide.model.probes import MAX_TIMEOUT_MS
from omnitide.model.quantity import format_bytes, format_cpu, format_duration
from omnitide.model.spec import MAX_GRACE_MS

_SIGNALS: Final = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL")
_NUMBERS: Final = {
    "1": "SIGHUP", "2": "SIGINT", "3": "SIGQUIT", "9": "SIGKILL", "10": "SIGUSR1", "12": "SIGUSR2", "15": "SIGTERM",
}  # fmt: skip
_ARCH: Final = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64", "386": "i686"}
_MIB: Final = 1 << 20
_MOST_DIGITS: Final = 18
_PERIOD: Final = 100_000
_PERIODS: Final = (1_000, 1_000_000)
_HEALTH_MS: Final = 30_000
"""The engine's interval and timeout where a file names none."""
MAX_REPLICAS: Final = 100_000
MAX_PIDS: Final = 4_194_304
MAX_CONSTRAINTS: Final = 64
LEAST_CPU: Final = 10
LEAST_MEMORY: Final = 6 * _MIB
"""Limits below which the engine refuses a container."""
MAX_ATTEMPTS: Final = 1_000_000
_IN_A_ROW: Final = "so many restarts in a row: a run of restart.reset_after (1m) starts the count anew"
LEAST_PROBE_MS: Final = 100
MAX_RETRIES: Final = 1000
LEAST_LOG: Final = 4096
MAX_LOGS: Final = 100


def running(view: View, made: Made) -> None:
    """Everything of a service that is about how it runs."""
    deploy = view.open("deploy")
    _replicas(view, deploy, made)
    _resources(view, deploy, made)
    _restart(view, deploy, made)
    _update(deploy, made)
    _placement(view, deploy, made)
    _health(view, made)
    _stop(view, made)
    _logs(view, made)
    if "update_config" in deploy:
        deploy.open("update_config").rest()
    deploy.rest()


def _replicas(view: View, deploy: View, made: Made) -> None:
    mode = deploy.text("mode")
    if mode not in ("", "replicated"):
        what = "an agent is no job: it runs as `restart` says" if mode.endswith("-job") else "not one on each node"
        deploy.lose("mode", f"{mode!r}: an agent has a number of replicas, {what}")
    for holder, key in ((view, "scale"), (deploy, "replicas")):
        count = holder.whole(key)
        if count is None:
            continue
        if 0 <= count <= MAX_REPLICAS:
            made["replicas"] = count
        else:
            holder.lose(key, f"{count} is no number of replicas")


def several(service: Map) -> bool:
    """Whether it has more than one replica."""
    try:
        counts = (service.get("scale"), service.map("deploy").get("replicas"))
        return any(whole(count) > 1 for count in counts if count is not None)
    except NotThat:
        return False  # for which it will be refused


def _resources(view: View, deploy: View, made: Made) -> None:
    resources = deploy.open("resources")
    limits, reserved = resources.open("limits"), resources.open("reservations")
    cpu = _limit(((limits, "cpus", limits.cpus("cpus")), (view, "cpus", view.cpus("cpus"))), LEAST_CPU, format_cpu)
    memory = _limit(
        ((limits, "memory", limits.size("memory")), (view, "mem_limit", view.size("mem_limit"))),
        LEAST_MEMORY,
        format_bytes,
    )
    cpu = cpu or _quota(view)
    own: dict[str, object] = {}
    if cpu:
        own["cpu"] = cpu / 1000
    if memory:
        own["memory"] = memory
    for holder, key in ((limits, "pids"), (view, "pids_limit")):
        count = holder.whole(key)
        if count is not None and count > 0 and "pids" not in own:
            own["pids"] = holder.near(key, count, 1, MAX_PIDS)
        elif count is not None and count <= 0:
            holder.note(key, "no limit, as where nothing is said")
    for holder, key, value in (
        (view, "cpus", view.cpus("cpus")),
        (limits, "cpus", limits.cpus("cpus")),
        (view, "mem_limit", view.size("mem_limit")),
        (limits, "memory", limits.size("memory")),
    ):
        if value == 0:
            holder.note(key, "no limit, as where nothing is said")
    if own:
        made["limits"] = own
    wanted = {"cpu": reserved.cpus("cpus"), "memory": reserved.size("memory")}
    older = view.size("mem_reservation")
    wanted["memory"] = wanted["memory"] or older
    # A limit below what is set aside where nothing is said.
    defaults, ceilings = {"cpu": 100, "memory": 32 * _MIB}, {"cpu": cpu, "memory": memory}
    aside: dict[str, object] = {}
    for name, value in wanted.items():
        ceiling = ceilings[name]
        if value and ceiling and value > ceiling:
            holder, key = (reserved, "cpus" if name == "cpu" else "memory")
            if key not in holder:
                holder, key = view, "mem_reservation"
            holder.lose(key, "is more than the limit: as much as the limit is set aside")
            value = ceiling
        if not value and ceiling and ceiling < defaults[name]:
            value = ceiling
        if value:
            aside[name] = value / 1000 if name == "cpu" else value
    if aside:
        made["resources"] = aside
    reserved.rest()
    limits.rest()
    resources.rest()


def _limit(written: tuple[tuple[View, str, int | None], ...], least: int, show: Callable[[int], str]) -> int:
    """The first that is one; 0: there is none. Compose takes no two that differ."""
    return next((holder.near(key, value, least, MOST, show) for holder, key, value in written if value), 0)


def _quota(view: View) -> int:
    """CFS quota and period (100 ms where it is not said) as thousandths of a processor."""
    quota, period = view.whole("cpu_quota"), view.whole("cpu_period")
    if quota is None or quota <= 0:
        if period is not None:
            view.note("cpu_period", "means nothing without cpu_quota")
        if quota is not None:
            view.note("cpu_quota", "no limit, as where nothing is said")
        return 0
    if period is not None and not _PERIODS[0] <= period <= _PERIODS[1]:
        view.lose("cpu_period", f"{period}: the engine takes {_PERIODS[0]} to {_PERIODS[1]}; it is taken for {_PERIOD}")
        period = None
    return view.near("cpu_quota", round(1000 * quota / (period or _PERIOD)), LEAST_CPU, MOST, format_cpu)


def _restart(view: View, deploy: View, made: Made) -> None:
    """Compose starts nothing again unless it is told to."""
    own: dict[str, object] = {"policy": "never"}
    written = view.text("restart")
    name, _, attempts = written.partition(":")
    if name in ("always", "unless-stopped"):
        own = {"policy": "always"}
    elif name == "on-failure":
        own = {"policy": "on-failure"}
        if attempts and re.fullmatch(r"[0-9]+", attempts) is None:
            view.lose("restart", f"{attempts[:40]!r} is no number of restarts")
        elif attempts.strip("0"):
            # What has more digits is as good as for ever.
            own |= _given_up(view, "restart", int(attempts[:_MOST_DIGITS]))
            view.note("restart", _IN_A_ROW)
    elif name not in ("", "no", "false"):
        view.lose("restart", f"{written!r} is no policy: it is taken for `no`")
    if "restart_policy" in deploy:
        policy = deploy.open("restart_policy")
        condition = policy.text("condition") or "any"
        known = {"none": "never", "on-failure": "on-failure", "any": "always"}
        own = {"policy": known.get(condition, "always")}
        if condition not in known:
            policy.lose("condition", f"{condition!r} is no condition: it is taken for `any`")
        delay, window, attempts = policy.duration("delay"), policy.duration("window"), policy.whole("max_attempts")
        if delay is not None:
            own["backoff"] = delay
            own["backoff_max"] = max(delay, 30_000)
        if window:
            own["reset_after"] = window
        elif window == 0:
            policy.note("window", "as where nothing is said")
        if attempts is not None and attempts < 0:
            policy.lose("max_attempts", f"{attempts} is no number of restarts")
        elif attempts:
            own |= _given_up(policy, "max_attempts", attempts)
            if not window:
                policy.note("max_attempts", _IN_A_ROW)
        policy.rest()
    if own != {"policy": "always"}:
        made["restart"] = own


def _given_up(holder: View, key: str, count: int) -> dict[str, object]:
    """So many restarts, on one node, and then it has failed for good."""
    return {"attempts": holder.near(key, count, 0, MAX_ATTEMPTS), "reschedules": 0}


def _update(deploy: View, made: Made) -> None:
    config = deploy.open("update_config") if "update_config" in deploy else None
    if config is None:
        return
    own: dict[str, object] = {}
    parallelism = config.whole("parallelism")
    count = 1 if parallelism is None else config.near("parallelism", parallelism or MAX_REPLICAS, 1, MAX_REPLICAS)
    order = config.text("order")
    kept = made.get("volumes")
    stays = isinstance(kept, dict) and any("source" not in one for one in cast("dict[str, Made]", kept).values())
    if order == "start-first" and stays:
        config.lose("order", "start-first: the old instance leaves its volume to the new one, and ends first")
        own = {"max_unavailable": count}
    elif order == "start-first":
        own = {"max_surge": count, "max_unavailable": 0}
    elif parallelism is not None or order:
        own = {"max_unavailable": count}
    monitor = config.duration("monitor")
    if monitor is not None:
        own["min_healthy"] = monitor
    action = config.text("failure_action")
    if action == "rollback":
        own["on_failure"] = "rollback"
    elif action not in ("", "pause"):
        config.lose("failure_action", f"{action}: a rollout that fails is halted, and what worked goes on")
    if own:
        made["update"] = own


def _placement(view: View, deploy: View, made: Made) -> None:
    found: list[dict[str, object]] = []
    platform = view.text("platform")
    if platform:
        system, _, rest = platform.lower().partition("/")
        arch = _ARCH.get(rest.partition("/")[0]) if rest else None
        if system != "linux":
            view.lose("platform", f"{platform!r}: containers here are Linux containers")
        elif rest and arch is None:
            view.lose("platform", f"{platform!r} is an architecture that no node names so")
        else:
            found.append({"label": "os", "values": ["linux"]})
            if arch is not None:
                found.append({"label": "arch", "values": [arch]})
    placement = deploy.open("placement")
    for written, place, path in placement.entries("constraints"):
        made_of = _constraint(written)
        if made_of is None:
            said = f"{written!r}: nodes have `node` (their name), `host`, `os`, `arch` and labels of their own"
            view.report.remark("loss", path, place, said)
        elif len(found) >= MAX_CONSTRAINTS:
            view.report.remark("loss", path, place, f"an agent has {MAX_CONSTRAINTS} constraints at most here")
        else:
            found.append(made_of)
    placement.rest()
    if found:
        made["constraints"] = found


def _constraint(written: str) -> dict[str, object] | None:
    match = re.fullmatch(r"\s*([\w.\-/]+?)\s*(==|!=)\s*(.+?)\s*", written)
    if match is None:
        return None
    key, value = match[1], match[3]
    operator = "=" if match[2] == "==" else "!="
    known = {"node.hostname": "host", "node.platform.os": "os", "node.platform.arch": "arch"}
    label = known.get(key) or (key.removeprefix("node.labels.") if key.startswith("node.labels.") else "")
    if label == "arch":
        value = _ARCH.get(value, value)
    fits = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?", label) and re.fullmatch(
        r"[A-Za-z0-9._:/+@-]{0,128}", value
    )
    return {"label": label, "operator": operator, "values": [value]} if label and fits else None


def probes(service: Map) -> bool:
    """Whether a service says how it is found out to be well."""
    health = service.map("healthcheck")
    test = health.get("test")
    return isinstance(test, Seq) and len(test) > 1 and test[0] != "NONE" and text(health.get("disable")) != "true"


def _health(view: View, made: Made) -> None:
    health = view.open("healthcheck")
    disabled = health.flag("disable")
    test = health.words("test")
    if disabled or test[:1] == ["NONE"]:
        for key in ("disable", "test", "interval", "timeout", "retries"):
            health.note(key, "there is no probe, as in Compose")
        health.rest()
        return
    if len(test) < 2 or not test[1].strip():
        # They are for the image's own test, which nothing here asks.
        for key in ("test", "interval", "timeout", "retries", "start_period", "start_interval"):
            health.lose(key, "without a test of the file's own there is no probe: what the image has is not asked here")
        health.rest()
        return
    command = ["/bin/sh", "-c", " ".join(test[1:])] if test[0] == "CMD-SHELL" else test[1:]
    interval, timeout = health.duration("interval") or _HEALTH_MS, health.duration("timeout") or _HEALTH_MS
    probe: dict[str, object] = {
        "type": "exec",
        "command": command,
        "interval": health.near("interval", interval, LEAST_PROBE_MS, MOST, format_duration),
        "timeout": health.near("timeout", timeout, LEAST_PROBE_MS, MAX_TIMEOUT_MS, format_duration),
    }
    retries = health.whole("retries")
    if retries:
        probe["failure_threshold"] = health.near("retries", retries, 1, MAX_RETRIES)
    elif retries == 0:
        health.note("retries", "0 is the engine's own, 3")
    made["health"] = {"readiness": probe}
    health.rest()


def _stop(view: View, made: Made) -> None:
    own: dict[str, object] = {}
    written = view.text("stop_signal").upper()
    if written:
        signal = _NUMBERS.get(written) or (written if written.startswith("SIG") else f"SIG{written}")
        if signal in _SIGNALS:
            own["signal"] = signal
        else:
            view.lose(
                "stop_signal", f"{written}: an instance is stopped by one of {', '.join(_SIGNALS)}; it gets SIGTERM"
            )
    grace = view.duration("stop_grace_period")
    if grace is not None:
        own["grace"] = view.near("stop_grace_period", grace, 0, MAX_GRACE_MS, format_duration)
    hooks = list(view.each("pre_stop"))
    for index, hook in enumerate(hooks):
        if index == 0:
            words = hook.command("command")
            if words:
                own["pre_stop"] = [escaped(word) for word in words]
            hook.rest()
        else:
            hook.report.used(hook.path)
            hook.report.remark("loss", hook.path, hook.place(), "there is one hook: put both into one command")
    if own:
        made["stop"] = own


def _logs(view: View, made: Made) -> None:
    logging = view.open("logging")
    driver = logging.text("driver")
    if driver not in ("", "json-file", "local"):
        logging.lose("driver", f"{driver!r}: output is kept on the node, and read by `omnitide logs`")
    elif driver:
        logging.note("driver", "output is kept on the node, and read by `omnitide logs`")
    options = logging.open("options")
    own: dict[str, object] = {}
    if driver in ("", "json-file", "local"):
        own = _kept(options)
    for key in list(options.data):
        if not options.report.knows((*options.path, key)):
            options.lose(key, "is the engine's: output is kept on the node, and read by `omnitide logs`")
    if own:
        made["logs"] = own
    logging.rest()


def _kept(options: View) -> dict[str, object]:
    own: dict[str, object] = {}
    try:
        if "max-size" in options:
            own["max_file"] = options.near("max-size", size(options.use("max-size")), LEAST_LOG, MOST, format_bytes)
        if "max-file" in options:
            own["max_files"] = options.near("max-file", whole(options.use("max-file")), 1, MAX_LOGS)
    except NotThat as error:
        key = "max-file" if "max_file" in own or "max-size" not in options else "max-size"
        options.lose(key, str(error))
    return own


def escaped(word: str) -> str:
    """A word as a manifest has it: there a dollar is written twice."""
    return word.replace("$", "$$")
