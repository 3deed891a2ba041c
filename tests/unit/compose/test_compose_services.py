"""What single services become: a Compose file, then its agent."""

from pathlib import Path

import pytest

from omnitide.compose.importing import import_compose
from omnitide.compose.report import Imported
from omnitide.model.container import Container
from omnitide.model.manifest import ManifestError
from omnitide.model.spec import AgentManifest


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
    assert (probe.interval, probe.timeout, probe.failure_threshold) == (3000, 3000, 5)
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


def test_ports_are_named_and_two_protocols_of_one_number_are_told(taken: Taken) -> None:
    agent, _, losses = taken.service('ports: ["53:53/udp", "53:53/tcp", "127.0.0.1:8080:80"]')
    assert {name: (port.port, port.target, port.protocol) for name, port in agent.ports.items()} == {
        "udp-53": (53, 53, "udp"),
        "tcp-53": (0, 53, "tcp"),
        "tcp-80": (8080, 80, "tcp"),
    }
    assert losses == ["services.web.ports[1].published", "services.web.ports[2].host_ip"]


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


def test_a_name_that_cannot_be_one_is_changed_and_told(taken: Taken) -> None:
    imported = taken.project("services:\n  my_db: {image: x}\n  web: {image: x, depends_on: [my_db]}")
    assert [agent.name for agent in imported.agents] == ["my-db", "web"]
    assert imported.agents[1].needs == {"my-db": "started"}
    assert [one.key for one in imported.losses] == ["services.my_db"]


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
