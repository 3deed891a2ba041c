"""When a process that ended is started again."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from omnitide.api import process as nexus
from omnitide.node import main as node
from omnitide.supervisor import policy
from omnitide.supervisor.child import signal_name

SOURCE = Path(policy.__file__).parents[2]


def test_the_first_death_costs_no_pause_and_later_ones_double_up_to_half_a_minute() -> None:
    delays = [policy.delay_ms(failures) for failures in range(1, 14)]
    assert delays[:5] == [0, 100, 200, 400, 800]
    assert delays[-1] == 30_000


@given(st.integers(0, 10**9))
def test_a_pause_is_bounded_and_never_shorter_than_the_one_before(failures: int) -> None:
    assert 0 <= policy.delay_ms(failures) <= policy.delay_ms(failures + 1) <= policy.MOST_MS


def test_a_healthy_while_is_forgiven() -> None:
    assert policy.failures_after(7, policy.HEALTHY_MS - 1) == 8
    assert policy.failures_after(7, policy.HEALTHY_MS) == 1
    assert policy.delay_ms(policy.failures_after(7, policy.HEALTHY_MS)) == 0


def test_what_a_restart_cannot_mend_is_what_the_processes_say() -> None:
    permanent = {nexus.EXIT_USAGE, nexus.EXIT_UNUSABLE, nexus.EXIT_HELD}
    permanent |= {node.EXIT_USAGE, node.EXIT_REMOVED, node.EXIT_UNUSABLE, node.EXIT_HELD}
    assert set(policy.PERMANENT) == permanent
    for code in (0, nexus.EXIT_FAILED, nexus.EXIT_ENGINE_FAILED, node.EXIT_FAILED, None):
        assert not policy.why_permanent(code)


def test_the_supervisor_loads_the_standard_library_only_and_little_of_it() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import omnitide.supervisor.__main__\n"
        "print(*sys.modules, sep='\\n')"
    )
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert {name for name in loaded if name.startswith("omnitide.") and "supervisor" not in name} == set()
    assert not loaded & {"typing", "subprocess", "asyncio", "argparse", "dataclasses", "psutil", "msgspec"}


def test_every_signal_has_a_word() -> None:
    assert signal_name(9) == "SIGKILL"
    assert [signal_name(number) for number in range(1, 65)]
    assert [signal_name(number) for number in (34, 40, 64)] == ["signal 34", "signal 40", "signal 64"]
