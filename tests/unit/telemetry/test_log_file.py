"""A log that is bounded while its process runs, whatever else of the process writes beside."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

KIB = 1024


def run(log: Path, body: str, *, max_bytes: int = 64 * KIB, keep: int = 2, form: str = "json") -> None:
    program = (
        "import os, sys\n"
        "from omnitide.telemetry import logs\n"
        "from omnitide.telemetry.log_file import LogFile\n"
        f"logs.configure('info', {form!r}, file=LogFile({str(log)!r}, {max_bytes}, {keep}))\n"
        "log = logs.get('omnitide.test')\n"
        f"{body}\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == ran.stderr == "", "all of it is in the file"


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_no_more_is_on_disk_than_was_said_and_no_record_in_between_is_lost(tmp_path: Path, keep: int) -> None:
    log = tmp_path / "x.log"
    run(log, "for number in range(2000): log.info('said', number=number, pad='x' * 200)", keep=keep)
    files = [*(tmp_path / f"x.log.{number}" for number in range(keep, 0, -1)), log]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    for file in files:
        assert file.stat().st_size < 64 * KIB + 1000
        assert file.stat().st_mode & 0o777 == 0o600
    numbers = [msgspec.json.decode(line)["number"] for file in files for line in file.read_text().splitlines()]
    assert numbers == list(range(2000 - len(numbers), 2000)), "the newest ones, in order"
    assert len(numbers) >= 200 * keep


def test_what_others_write_by_themselves_goes_the_same_way_and_counts(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    run(log, "os.write(2, b'stray\\n' * 20000); log.info('after'); os.write(1, b'more\\n')")
    assert (tmp_path / "x.log.1").read_text().startswith("stray\n")
    assert log.read_text() == "more\n", "the file was full with the record"


def test_a_file_that_somebody_else_has_set_aside_is_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    body = f"os.rename({str(log)!r}, {str(tmp_path / 'mine')!r})\nfor _ in range(400): log.info('said', pad='x' * 200)"
    run(log, body)
    assert (tmp_path / "mine").stat().st_size > 64 * KIB
    assert log.exists()
    assert not (tmp_path / "x.log.1").exists()


def test_last_words_are_for_people_and_for_programs(tmp_path: Path) -> None:
    for form in ("json", "console"):
        run(tmp_path / form, "logs.last_words('cannot', 'because of omt_abcdefabcdefabcdef')", form=form)
        assert "omt_abcdef" not in (tmp_path / form).read_text()
    (line,) = (tmp_path / "json").read_text().splitlines()
    assert msgspec.json.decode(line)["reason"] == "because of omt_***"
    assert (tmp_path / "console").read_text().splitlines()[-1] == "error: because of omt_***"
