"""One process on one data directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from omnitide.security.data_lock import DataInUse, lock_data

PROGRAM = """
import sys
from pathlib import Path
from omnitide.security.data_lock import lock_data
with lock_data(Path(sys.argv[1]), "it.lock", "Nexus"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_is_told_who_was_first_and_a_death_frees_it(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        words = f"{tmp_path} is in use by the Nexus with process id {holder.pid};"
        with pytest.raises(DataInUse, match=words) as caught, lock_data(tmp_path, "it.lock", "Nexus"):
            pass
        assert caught.value.holder == str(holder.pid)
        assert caught.value.directory == tmp_path
        holder.kill()
    for _ in range(2):
        with lock_data(tmp_path, "it.lock", "Nexus"):
            pass


def test_other_locks_of_a_directory_are_apart(tmp_path: Path) -> None:
    with lock_data(tmp_path, "node.lock", "node proxy"), lock_data(tmp_path, "nexus.lock", "Nexus"):
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
