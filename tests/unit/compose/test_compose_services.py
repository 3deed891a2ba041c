"""What single services become: a Compose file, then its agent."""

from pathlib import Path

import pytest

from omnitide.compose.importing import import_compose
from omnitide.compose.report import Imported
from omnitide.model.container import Container, Ulimit
from omnitide.model.manifest import ManifestError
from omnitide.model.spec import AgentManifest

ASKED = "resources: {reservations: {cpus: 0.5, memory: 64M}}"
"""Of `deploy`: so much that nothing has to be said of it."""


@pytest.fixture
def taken(tmp_path: Path) -> "Taken":
    return Taken(tmp_path)


class Taken:
    """Imports what a test writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def project(self, text: str, **environment: str) -> Imported:
        file = self.folder / "compose.yaml"
        file.write_text(text)
        return import_compose([str(file)], environment, name="shop")

    def service(self, text: str, **environment: str) -> tuple[AgentManifest, Container, list[str]]:
        """The agent of one service with an image, its container, and the keys of its losses."""
        imported = self.project(
            "services:\n  web:\n    image: nginx\n    " + text.replace("\n", "\n    "), **environment
        )
        (agent,) = imported.agents
        assert agent.container is not None
        return agent, agent.container, [one.key for one in imported.losses]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("default",)),
        ("cap_add: [CAP_NET_ADMIN]", ("default", "NET_ADMIN")),
        ("cap_drop: [ALL]", ()),
        ("cap_drop: [all]\ncap_add: [CHOWN]", ("CHOWN",)),
        ("cap_add: [ALL]", ("ALL",)),
    ],
)
def test_capabilities_are_the_engines_and_what_the_file_says(
    taken: Taken, text: str, expected: tuple[str, ...]
) -> None:
    assert taken.service(text)[1].capabilities == expected


def test_a_dropped_capability_is_gone_and_the_other_default_ones_are_there(taken: Taken) -> None:
    kept = taken.service("cap_drop: [MKNOD, NET_RAW]")[1].capabilities
    assert not {"MKNOD", "NET_RAW", "default"} & set(kept)
    assert len(kept) == 12


@pytest.mark.parametrize(
    ("text", "policy", "attempts"),
    [
        ("", "never", 5),
        ('restart: "no"', "never", 5),
        ("restart: always", "always", 5),
        ("restart: unless-stopped", "always", 5),
        ("restart: on-failure:3", "on-failure", 3),
        ("deploy: {restart_policy: {condition: none}}", "never", 5),
        ("deploy: {restart_policy: {}}", "always", 5),
    ],
)
def test_restart(taken: Taken, text: str, policy: str, attempts: int) -> None:
    restart = taken.service(text)[0].restart
    assert (restart.policy, restart.attempts) == (policy, attempts)


def test_a_limit_below_what_is_set_aside_by_itself_lowers_that(taken: Taken) -> None:
    agent = taken.service("deploy: {resources: {limits: {memory: 16m, cpus: '0.05'}}}")[0]
    assert (agent.limits.memory, agent.resources.memory) == (16 << 20, 16 << 20)
    assert (agent.limits.cpu, agent.resources.cpu) == (50, 50)


def test_a_healthcheck_is_a_readiness_probe(taken: Taken) -> None:
    agent = taken.service("healthcheck: {test: curl -f localhost $$A, interval: 3s, retries: 5}")[0]
    probe = agent.health.readiness
    assert probe is not None
    assert probe.command == ("/bin/sh", "-c", "curl -f localhost $A")
    assert (probe.interval, probe.timeout, probe.failure_threshold) == (3000, 30_000, 5), "30 s where none is said"
    assert agent.health.liveness is None


def test_dollars_reach_the_program_as_they_would(taken: Taken) -> None:
    agent = taken.service('command: ["$$A", "$A"]\nenvironment: {P: "$$5"}', A="b$c")[0]
    assert agent.command == ("$$A", "b$$c")
    assert agent.environment == {"P": "$$5"}


def test_variables_whose_names_no_shell_would_take_are_carried_over(taken: Taken) -> None:
    text = 'environment: {discovery.type: single-node, xpack-on: "1", 9a: "1", "b.": "1"}'
    agent, _, said = taken.service(text)
    assert agent.environment == {"discovery.type": "single-node", "xpack-on": "1"}
    assert said == ["services.web.environment.9a", "services.web.environment.b."]


def test_ports_are_named_with_protocol_and_address(taken: Taken) -> None:
    agent, _, losses = taken.service('ports: ["53:53/udp", "53:53/tcp", "127.0.0.1:8080:80", "[::1]:8081:81"]')
    assert {name: (port.port, port.target, port.protocol, port.host_ip) for name, port in agent.ports.items()} == {
        "udp-53": (53, 53, "udp", ""),
        "tcp-53": (53, 53, "tcp", ""),
        "tcp-80": (8080, 80, "tcp", "127.0.0.1"),
        "tcp-81": (8081, 81, "tcp", "::1"),
    }
    assert losses == []


def test_ranges_of_ports_are_a_port_each_or_the_first_that_is_free(taken: Taken) -> None:
    agent, _, losses = taken.service('ports: ["9000-9002:9000-9002", "9000-9010:80", "9005:81"]')
    assert {name: (port.port, port.target) for name, port in agent.ports.items()} == {
        "tcp-9000": (9000, 9000),
        "tcp-9001": (9001, 9001),
        "tcp-9002": (9002, 9002),
        "tcp-80": (9003, 80),
        "tcp-81": (9005, 81),
    }
    assert losses == []


@pytest.mark.parametrize("fixed_first", [True, False])
def test_a_range_takes_no_number_that_is_asked_for_by_itself(taken: Taken, fixed_first: bool) -> None:
    """Whichever of the two is written first: a range has others, and the number has not."""
    fixed, ranged = '"8001:80"', '"8001-8003:81"'
    listed = ", ".join([fixed, ranged] if fixed_first else [ranged, fixed])
    agent, _, losses = taken.service(f"ports: [{listed}]")
    assert {port.target: port.port for port in agent.ports.values()} == {80: 8001, 81: 8002}
    assert losses == []


def test_a_range_takes_no_number_that_another_service_has(taken: Taken) -> None:
    """They may be on one node, and in Compose the engine gives each the next that is free."""
    imported = taken.project(
        "services:\n"
        '  one: {image: nginx, ports: ["8001-8005:80"]}\n'
        '  two: {image: nginx, ports: ["8001-8005:80"]}\n'
        '  three: {image: nginx, ports: ["8001:80"]}\n'
        '  four: {image: nginx, ports: ["8002-8002:80"]}\n'
    )
    assert {agent.name: agent.ports["tcp-80"].port for agent in imported.agents} == {
        "one": 8003,
        "two": 8004,
        "three": 8001,
        "four": 8002,
    }
    assert imported.losses == ()


def test_a_number_for_udp_is_free_for_a_range_of_tcp(taken: Taken) -> None:
    agent, _, _ = taken.service('ports: ["8001:53/udp", "8001-8003:81"]')
    assert {(port.target, port.protocol): port.port for port in agent.ports.values()} == {
        (53, "udp"): 8001,
        (81, "tcp"): 8001,
    }


def test_one_port_of_a_range_for_many_replicas_is_told(taken: Taken) -> None:
    agent, _, losses = taken.service('ports: ["9000-9010:80"]\nscale: 2')
    assert agent.ports["tcp-80"].port == 0
    assert losses == ["services.web.ports[0].published"]


def test_a_number_at_two_addresses_and_what_is_no_address_are_told(taken: Taken) -> None:
    text = 'ports: ["127.0.0.1:80:80", "127.0.0.2:80:80", {target: 81, published: 81, host_ip: eth0}]'
    agent, _, losses = taken.service(text)
    assert [(port.port, port.host_ip) for port in agent.ports.values()] == [
        (80, "127.0.0.1"),
        (0, "127.0.0.2"),
        (81, "127.0.0.1"),
    ]
    assert losses == ["services.web.ports[1].published", "services.web.ports[2].host_ip"]


def test_soft_and_hard_limits_are_two(taken: Taken) -> None:
    _, container, losses = taken.service("ulimits: {nofile: {soft: 10, hard: 20}, nproc: 5, core: -1}")
    assert container.ulimits == {"nofile": Ulimit(soft=10, hard=20), "nproc": 5, "core": -1}
    assert losses == []
    _, container, losses = taken.service("ulimits: {nofile: {soft: 30, hard: 20}, rtprio: -7}")
    assert container.ulimits == {}
    assert losses == ["services.web.ulimits.nofile", "services.web.ulimits.rtprio"]


def test_every_name_by_which_others_reach_a_service_is_an_alias(taken: Taken) -> None:
    imported = taken.project(
        "services:\n"
        "  my_db: {image: x, container_name: Shop_DB, networks: {one: {aliases: [db, store.internal]}}}\n"
        '  web: {image: x, networks: [one], links: ["my_db:postgres"]}\n'
        "networks: {one: }"
    )
    db = imported.agents[0].container
    assert db is not None
    assert (imported.agents[0].name, db.aliases) == (
        "my-db",
        ("my_db", "Shop_DB", "db", "store.internal", "postgres"),
    )
    assert [one.key for one in imported.losses] == []


def test_an_alias_that_is_no_name_and_one_that_nobody_could_use(taken: Taken) -> None:
    imported = taken.project(
        "services:\n"
        '  a: {image: x, networks: {one: {aliases: ["no name", fine]}}}\n  b: {image: x, networks: [one]}\n'
        "  alone: {image: x, networks: {two: {aliases: [me]}}}\nnetworks: {one: , two: }"
    )
    containers = {agent.name: agent.container for agent in imported.agents}
    assert {name: one.aliases for name, one in containers.items() if one} == {"a": ("fine",), "b": (), "alone": ()}
    assert [one.key for one in imported.losses] == ["services.a.networks.one.aliases[0]"]


def test_services_that_share_networks_are_together_and_others_are_free(taken: Taken) -> None:
    imported = taken.project(
        "services:\n"
        "  a: {image: x, networks: [one]}\n  b: {image: x, networks: [one, two]}\n"
        "  c: {image: x, networks: [two]}\n  alone: {image: x, networks: [three]}\n"
        "networks: {one: , two: , three: }"
    )
    assert {agent.name: agent.together for agent in imported.agents} == {
        "a": "shop",
        "b": "shop",
        "c": "shop",
        "alone": None,
    }
    assert [(one.key, "c" in one.message) for one in imported.losses] == [("services.a.networks", True)]


def test_a_volume_without_a_name_is_one_of_the_nodes(taken: Taken) -> None:
    agent, _, losses = taken.service("volumes: [/var/lib/data]")
    assert [(name, one.target, one.source) for name, one in agent.volumes.items()] == [
        ("web-data", "/var/lib/data", "")
    ]
    assert losses == []
    _, _, losses = taken.service("volumes: [/var/lib/data]\nscale: 2")
    assert losses == ["services.web.volumes[0].target"]


def test_a_volume_that_is_not_to_be_filled_is_not(taken: Taken) -> None:
    imported = taken.project(
        "services: {web: {image: x, volumes: ['bare:/a:nocopy', 'full:/b']}}\nvolumes: {bare: , full: }"
    )
    assert {name: one.nocopy for name, one in imported.agents[0].volumes.items()} == {"bare": True, "full": False}
    assert imported.losses == ()


def test_a_name_that_cannot_be_one_is_changed_and_stays_an_alias(taken: Taken) -> None:
    imported = taken.project("services:\n  my_db: {image: x}\n  web: {image: x, depends_on: [my_db]}")
    assert [agent.name for agent in imported.agents] == ["my-db", "web"]
    assert imported.agents[1].needs == {"my-db": "started"}
    assert imported.losses == ()
    assert imported.agents[0].container is not None
    assert imported.agents[0].container.aliases == ("my_db",)


def test_what_is_built_is_never_looked_for_in_a_registry(taken: Taken) -> None:
    imported = taken.project("services: {web: {build: {context: ./app, target: final}}}")
    (agent,) = imported.agents
    assert agent.container is not None
    assert (agent.container.image, agent.container.pull) == ("shop-web", "never")
    (image,) = imported.create
    assert image.command == f"docker build -t shop-web --target final {taken.folder}/app"


def test_profiles_leave_services_out(taken: Taken) -> None:
    text = "services: {web: {image: x}, debug: {image: x, profiles: [debug]}}"
    assert taken.project(text).left_out == ("debug",)
    assert taken.project(text, COMPOSE_PROFILES="debug").left_out == ()


def test_a_secrets_value_is_held_and_never_shown(taken: Taken) -> None:
    imported = taken.project(
        "services: {web: {image: x, secrets: [token]}}\nsecrets: {token: {environment: TOKEN}}", TOKEN="very-hidden"
    )
    assert [(one.name, one.value) for one in imported.held] == [("token", b"very-hidden")]
    assert "very-hidden" not in str((imported.agents, imported.notes, imported.losses, imported.create))
    assert imported.agents[0].secrets["token"].file == "/run/secrets/token"


def test_an_unset_variable_is_named_where_it_breaks_something(taken: Taken) -> None:
    with pytest.raises(ManifestError, match="not set: MEDIA"):
        taken.service('volumes: ["${MEDIA}:/media"]')


def test_a_label_of_the_service_takes_no_label_of_its_containers(taken: Taken) -> None:
    text = "labels: {routed: 'true', tier: web}\ndeploy: {labels: {routed: 'false', tier: web, owner: ops}}"
    agent, _, losses = taken.service(text)
    assert agent.labels == {"routed": "true", "tier": "web", "owner": "ops", "compose.project": "shop"}
    assert losses == ["services.web.deploy.labels.routed"]


def test_who_waits_for_what_is_left_out_is_told(taken: Taken) -> None:
    imported = taken.project(
        "services:\n"
        f"  web: {{image: nginx, depends_on: [model], deploy: {{{ASKED}}}}}\n"
        "  model: {provider: {type: model}}\n"
    )  # fmt: skip
    told = [(one.key, one.message) for one in imported.notes]
    assert told == [("services.web.depends_on.model", "model is left out, and not waited for")]


def test_a_start_interval_needs_nothing(taken: Taken) -> None:
    imported = taken.project(
        "services: {web: {image: nginx, healthcheck: {test: [CMD, x], start_interval: 1s}, "
        f"deploy: {{{ASKED}}}}}}}\n",
    )
    (note,) = imported.notes
    assert note.key == "services.web.healthcheck.start_interval"
    assert "sooner than its interval" in note.message
    assert imported.losses == ()


@pytest.mark.parametrize(
    "text",
    [
        f"restart: on-failure:4, deploy: {{{ASKED}}}",
        f"deploy: {{restart_policy: {{max_attempts: 4}}, {ASKED}}}",
    ],
)
def test_it_is_given_up_after_so_many_restarts(taken: Taken, text: str) -> None:
    imported = taken.project(f"services: {{web: {{image: x, {text}}}}}")
    assert imported.losses == ()
    restart = imported.agents[0].restart
    assert (restart.attempts, restart.reschedules) == (4, 0)
    (note,) = imported.notes
    assert "in a row" in note.message, "the engine counts them over the whole life of a container"


@pytest.mark.parametrize("text", ["restart: on-failure", "restart: on-failure:0", "restart: always"])
def test_without_a_number_it_is_never_given_up(taken: Taken, text: str) -> None:
    assert taken.service(text)[0].restart.reschedules is None


def test_a_window_says_what_in_a_row_is(taken: Taken) -> None:
    imported = taken.project(
        f"services: {{web: {{image: x, deploy: {{restart_policy: {{max_attempts: 4, window: 10s}}, {ASKED}}}}}}}",
    )
    assert (imported.losses, imported.notes) == ((), ())
    restart = imported.agents[0].restart
    assert (restart.attempts, restart.reschedules, restart.reset_after) == (4, 0, 10_000)


@pytest.mark.parametrize(
    "path",
    ["/var/run/docker.sock", "/etc/localtime", "/lib/modules", "/root/data", "/", "/var/lib", "/dev/shm"],
)
def test_a_path_that_no_node_gives_by_itself_is_a_loss(taken: Taken, path: str) -> None:
    agent, _, losses = taken.service(f"volumes: [{{type: bind, source: '{path}', target: /a}}]")
    assert [one.source for one in agent.volumes.values()] == [path], "a node whose setting names it gives it"
    assert losses == ["services.web.volumes[0].source"]


def test_the_loss_of_a_path_says_which_setting_it_needs(taken: Taken) -> None:
    imported = taken.project("services: {web: {image: x, volumes: ['/etc/localtime:/a', '/srv/a:/b']}}")
    (loss,) = imported.losses
    assert "node.volume_paths" in loss.message


def test_a_device_that_no_node_gives_by_itself_is_a_loss(taken: Taken) -> None:
    _, container, losses = taken.service("devices: [/dev/null, /dev/kvm]")
    assert container.devices == ("/dev/null", "/dev/kvm")
    assert losses == ["services.web.devices[1].source"]


@pytest.mark.parametrize(
    "other", ["image: y", "image: y, healthcheck: {interval: 5s}", "image: y, healthcheck: {disable: true}"]
)
def test_waiting_for_the_health_of_what_has_no_test_is_a_loss(taken: Taken, other: str) -> None:
    imported = taken.project(
        f"services:\n  web: {{image: x, depends_on: {{db: {{condition: service_healthy}}}}}}\n  db: {{{other}}}\n"
    )
    assert "services.web.depends_on.db.condition" in [one.key for one in imported.losses]


def test_how_an_images_own_test_is_asked_is_a_loss(taken: Taken) -> None:
    _, _, losses = taken.service("healthcheck: {interval: 5s, start_period: 1m}")
    assert losses == ["services.web.healthcheck.interval", "services.web.healthcheck.start_period"]
    _, _, losses = taken.service("healthcheck: {disable: true, interval: 5s}")
    assert losses == []


SURPLUS = {
    "group_add": "group_add: [" + ", ".join(f"g{one}" for one in range(70)) + "]",
    "sysctls": "sysctls: {" + ", ".join(f"net.a{one}: 1" for one in range(70)) + "}",
    "cap_add": "cap_add: [" + ", ".join(f"A{chr(65 + one // 26)}{chr(65 + one % 26)}" for one in range(70)) + "]",
    "secrets": "secrets: [" + ", ".join(f"s{one}" for one in range(70)) + "]",
    "configs": "configs: [" + ", ".join(f"s{one}" for one in range(70)) + "]",
    "volumes": "volumes: [" + ", ".join(f"{{type: tmpfs, target: /t{one}}}" for one in range(70)) + "]",
    "tmpfs": "tmpfs: [" + ", ".join(f"/t{one}" for one in range(70)) + "]",
    "dns": "dns: [" + ", ".join(f"10.0.0.{one}" for one in range(70)) + "]",
    "devices": "devices: [" + ", ".join(f"/dev/null:/dev/n{one}" for one in range(70)) + "]",
    "ulimits": "ulimits: {" + ", ".join(f"a{chr(97 + one // 26)}{chr(97 + one % 26)}: 1" for one in range(70)) + "}",
    "extra_hosts": "extra_hosts: {" + ", ".join(f"h{one}: 10.0.0.1" for one in range(70)) + "}",
    "ports": "ports: [" + ", ".join(f"'{one}'" for one in range(1, 71)) + "]",
    "labels": "labels: {" + ", ".join(f"l{one}: a" for one in range(70)) + "}",
    "deploy": "deploy: {placement: {constraints: [" + ", ".join(f"node.labels.a{one}==b" for one in range(70)) + "]}}",
    "depends_on": "depends_on: [" + ", ".join(f"o{one}" for one in range(70)) + "]",
}


@pytest.mark.parametrize("key", SURPLUS)
def test_what_is_too_many_here_is_a_loss_and_refuses_nothing(taken: Taken, key: str) -> None:
    others = "".join(f"  o{one}: {{image: x}}\n" for one in range(70)) if key == "depends_on" else ""
    declared = "{" + ", ".join(f"s{one}: {{file: ./f}}" for one in range(70)) + "}"
    imported = taken.project(
        f"services:\n  web:\n    image: x\n    {SURPLUS[key]}\n{others}secrets: {declared}\nconfigs: {declared}\n"
    )
    assert any(one.key.startswith(f"services.web.{key}") for one in imported.losses)


def test_a_word_that_is_too_long_is_refused_as_our_bound(taken: Taken) -> None:
    with pytest.raises(ManifestError, match="by a bound of Omnitide's: its command"):
        taken.service("command: [a, " + "b" * 40_000 + "]")


@pytest.mark.parametrize(
    "text",
    [
        "cpus: 2\ndeploy: {resources: {limits: {cpus: '1'}}}",
        "mem_limit: 1g\ndeploy: {resources: {limits: {memory: 2g}}}",
        "pids_limit: 10\ndeploy: {resources: {limits: {pids: 11}}}",
    ],
)
def test_one_number_said_twice_and_differently_is_refused_as_compose_does(taken: Taken, text: str) -> None:
    with pytest.raises(ManifestError, match="is another number than"):
        taken.service(text)


# What is set aside where the file says nothing.


def reserved(imported: Imported) -> list[tuple[str, int, str]]:
    """The notes of it."""
    below = ".deploy.resources.reservations"
    return [(one.key, one.line, one.message) for one in imported.notes if below in one.key]


def test_services_that_reserve_nothing_are_told_of_once_with_what_they_get(taken: Taken) -> None:
    imported = taken.project("services:\n" + "".join(f"  s{number}: {{image: x}}\n" for number in range(5)))
    assert reserved(imported) == [
        (
            "services.s0.deploy.resources.reservations",
            2,
            "nothing is said by s0, s1, s2 and 2 more: 0.1 cpu and 32 MiB of memory are set aside for each",
        )
    ]
    assert imported.losses == ()
    assert {(agent.resources.cpu, agent.resources.memory) for agent in imported.agents} == {(100, 32 << 20)}


def test_one_that_reserves_nothing_is_told_of_by_itself(taken: Taken) -> None:
    ((_, _, message),) = reserved(taken.project("services: {web: {image: x, mem_limit: 64M}}"))
    assert message == "nothing is said: 0.1 cpu and 32 MiB of memory are set aside; a limit sets nothing aside"


def test_of_what_is_reserved_in_part_the_other_is_told(taken: Taken) -> None:
    imported = taken.project(
        "services:\n"
        "  one: {image: x, deploy: {resources: {reservations: {memory: 64M}}}}\n"
        "  two: {image: x, mem_reservation: 64M}\n"
        "  all: {image: x, deploy: {resources: {reservations: {cpus: 0.5, memory: 64M}}}}\n"
        "  cpu: {image: x, deploy: {resources: {reservations: {cpus: 0.5}}}}\n"
    )  # fmt: skip
    assert reserved(imported) == [
        (
            "services.one.deploy.resources.reservations.cpus",
            2,
            "nothing is said by one and two: 0.1 cpu is set aside for each",
        ),
        ("services.cpu.deploy.resources.reservations.memory", 5, "nothing is said: 32 MiB of memory is set aside"),
    ]


def test_a_limit_below_what_is_set_aside_by_default_is_what_is_set_aside(taken: Taken) -> None:
    imported = taken.project("services: {web: {image: x, cpus: 0.05, mem_limit: 16M}}")
    assert reserved(imported) == []
    assert (imported.agents[0].resources.cpu, imported.agents[0].resources.memory) == (50, 16 << 20)
