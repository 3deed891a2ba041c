"""An instance is killed; a node proxy is killed while its instances end in every way that there is."""

import os
import signal
import sys
from pathlib import Path

from omnitide.model.objects import Instance
from omnitide.model.spec import AgentSpec, JobSpec, Resources, Restart
from support.fabric_processes import Fabric, alive, freeze, until

SMALL = Resources(cpu=10, memory=16 << 20)
SLEEPER = AgentSpec(command=("sleep", "100000"), resources=SMALL)


def test_a_killed_instance_is_restarted_and_its_death_is_kept(fabric: Fabric) -> None:
    fabric.client.deploy_agent("sleeper", SLEEPER, replicas=2)
    victim, other = fabric.running("sleeper", 2)
    os.kill(int(victim.handle), signal.SIGKILL)

    def again() -> Instance | None:
        now = fabric.client.get_instance(victim.id)
        return now if now.status == "running" and now.attempt == 2 else None

    now = until(again, "a second attempt")
    assert now.exit is not None
    assert (now.exit.attempt, now.exit.signal, now.exit.code) == (1, 9, None)
    assert now.handle != victim.handle
    assert fabric.client.get_instance(other.id).handle == other.handle
    assert "signal 9" in fabric.cli("explain", victim.name).stdout + fabric.cli("events", "--tail", "20").stdout


def test_a_node_proxy_dies_while_its_instances_end(fabric: Fabric, tmp_path: Path) -> None:
    """PROOFS 3: one prints 5 MB and exits 7, one is killed by a signal, one lives on, and no proxy sees any of it."""
    go = tmp_path / "go"
    starts = tmp_path / "starts"
    wait = f"import os,sys,time\nopen({str(starts)!r},'a').write(os.environ['OMNITIDE_INSTANCE']+'\\n')\n"
    wait += f"while not os.path.exists({str(go)!r}): time.sleep(.02)\n"
    printer = wait + "[sys.stdout.write('%07d\\n' % n) for n in range(625_000)]; sys.stdout.flush(); os._exit(7)"
    client = fabric.client
    client.cordon_node("beta")
    never = Restart(policy="never")
    client.run_job(JobSpec(command=(sys.executable, "-c", printer), resources=SMALL), name="printer")
    killed_by = (sys.executable, "-c", wait + "time.sleep(10000)")
    client.run_job(JobSpec(command=killed_by, resources=SMALL), name="killed")
    client.deploy_agent("lives", AgentSpec(command=killed_by, resources=SMALL, restart=never), replicas=1)
    (lives,) = fabric.running("lives", 1)
    until(lambda: starts.exists() and len(starts.read_text().split()) == 3, "all three run")
    (killed,) = fabric.instances("killed")
    until(lambda: fabric.instances("printer", status="running"), "Nexus knows that it runs")
    proxy, keeper = fabric.proxy_pid(), fabric.keeper_pid()
    # So that it stays dead for a while: whoever would start it again holds still.
    freeze(fabric.supervisor_pid())
    os.kill(proxy, signal.SIGKILL)
    until(lambda: not alive(proxy), "the proxy is dead")
    go.touch()
    os.kill(int(killed.handle), signal.SIGUSR1)
    (waiting,) = fabric.instances("printer")
    until(lambda: not alive(int(waiting.handle)), "the printer has ended")
    until(lambda: not alive(int(killed.handle)), "the killed one has ended")
    os.kill(fabric.supervisor_pid(), signal.SIGCONT)
    fabric.new_proxy(proxy)
    until(lambda: client.get_job("printer").status == "failed", "the printer's end is known")
    until(lambda: client.get_job("killed").status == "failed", "the killed one's end is known")
    printed, death = client.get_job("printer"), client.get_job("killed")
    assert printed.exit is not None
    assert death.exit is not None
    assert (printed.exit.code, printed.exit.signal) == (7, None)
    assert (death.exit.code, death.exit.signal) == (None, int(signal.SIGUSR1))
    text = "".join(chunk.text for chunk in client.read_logs(printed.instance))
    assert text == "".join(f"{n:07d}\n" for n in range(625_000))
    assert [one.handle for one in fabric.running("lives", 1)] == [lives.handle]
    assert alive(int(lives.handle))
    assert fabric.keeper_pid() == keeper
    assert sorted(starts.read_text().split()) == sorted(set(starts.read_text().split())), "nothing was started twice"
