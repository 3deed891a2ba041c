"""What the command says where it cannot do what was asked, and what helps is somewhere else than here."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support.fabric_processes import OMNITIDE, Fabric, freeze, send, until

TICKER = """
name = "ticker"
command = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.2; done"]
[[constraints]]
label = "node"
values = ["beta"]
"""


def test_a_machine_that_has_only_joined_says_where_a_token_is_made(fabric: Fabric) -> None:
    said = fabric.cli("agents", name="beta", code=2).stderr
    assert "this machine is only a node of a fabric" in said
    assert "omnitide token create --api" in said
    assert "omnitide status" in said
    assert "node" in fabric.cli("status", name="beta").stdout


def test_inside_an_instance_it_says_what_the_instance_lacks(fabric: Fabric, tmp_path: Path) -> None:
    (fabric.folder / "sleeper.toml").write_text('name = "sleeper"\ncommand = ["sleep", "100000"]\n')
    fabric.cli("deploy", "sleeper.toml")
    fabric.running("sleeper", 1)
    inside = ("exec", "--env", f"XDG_CONFIG_HOME={tmp_path}", "--env", f"HOME={tmp_path}", "sleeper", "--")
    said = fabric.cli(*inside, str(OMNITIDE), "agents", "--data", str(tmp_path / "none"), code=2).stderr
    assert "an instance is not told how to reach its fabric's API" in said
    assert "OMNITIDE_CLIENT_TOKEN" in said


def test_followed_output_of_a_node_that_is_away_is_waited_for_and_goes_on(fabric: Fabric) -> None:
    (fabric.folder / "ticker.toml").write_text(TICKER)
    fabric.cli("deploy", "ticker.toml")
    (one,) = fabric.running("ticker", 1)
    proxy = fabric.proxy_pid("beta")
    with fabric.beside("logs", "-f", "ticker") as logs:
        logs.until(lambda out: "tick 3" in out, "it is followed")
        freeze(proxy)
        try:
            logs.until(lambda _: f"{one.name}: node beta cannot be asked" in logs.err, "it is said that beta is away")
            assert "waiting for it" in logs.err
            assert "beta" in fabric.cli("logs", "ticker", code=5).stderr
        finally:
            send([proxy], signal.SIGCONT)
        fabric.until_live("beta")
        seen = logs.out.count("tick")
        logs.until(lambda out: out.count("tick") > seen + 3, "it goes on")
    numbers = [int(line.rpartition(" ")[2]) for line in logs.out.splitlines() if "tick" in line and line[-1].isdigit()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "each line once, none lost"


def test_of_a_nexus_that_hangs_it_is_said_that_it_is_there_and_what_helps(fabric: Fabric) -> None:
    nexus = fabric.nexus_pid()
    freeze(nexus)
    try:
        # Both at once: each waits for as long as there is hope.
        with ThreadPoolExecutor() as both:
            told = [each.stderr for each in both.map(lambda command: fabric.cli(command, code=5), ("ps", "status"))]
        for said in told:
            assert f"Nexus is there as process {nexus}, and does not answer" in said
            assert f"kill -CONT {nexus}" in said
            assert f"kill -KILL {nexus}, it is started again then" in said
            assert "nexus.log" in said
            assert "omnitide up" not in said, "it does not help a process that is there"
    finally:
        send([nexus], signal.SIGCONT)
    # It goes on as it was, and what is advised if it does not is true: one that is killed is started again.
    until(lambda: fabric.client.check_live() is not None, "it answers again")
    send([nexus], signal.SIGKILL)
    assert fabric.new_nexus(nexus) != nexus


def test_a_port_that_no_spec_has_and_a_program_that_is_not_there(fabric: Fabric) -> None:
    (fabric.folder / "web.toml").write_text('name = "web"\ncommand = ["sleep", "100000"]\n[ports.http]\n')
    fabric.cli("deploy", "web.toml")
    fabric.running("web", 1)
    said = fabric.cli("port-forward", "web", "htpp", code=3).stderr
    assert "web has no port 'htpp'" in said
    assert "there is http" in said
    assert "nosuchprogram" in fabric.cli("exec", "web", "--", "nosuchprogram", code=127).stderr
    (fabric.folder / "note.txt").write_text("x")
    said = fabric.cli("cp", "note.txt", "web:/proc/note.txt", code=1).stderr
    assert "/proc" in said, "the same again would not succeed: it is not said to be unavailable"
    assert "a link alone is not copied" in fabric.cli("cp", "web:/bin", "bin", code=1).stderr
