"""A data folder that was copied, moved or put back: whether the node may start on it, and with what memory."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnitide.node.claim import FolderCopied, claim
from omnitide.node.instructions import SaveDesired, SaveRecord, SendReport
from omnitide.node.keeper import place
from omnitide.node.outbox import Outbox, open_outbox
from omnitide.node.records import Assignment, Goal, Phase, Record, Report

Open = Callable[[Path], Outbox]

ASSIGNMENT = Assignment(
    instance="a", name="a-0.1", namespace="default", kind="agent", workload="a", version=1, slot=0, generation=1,
    goal=Goal.RUN, spec_key="a/1",
)  # fmt: skip
REPORT = Report(instance="a", generation=1, attempt=1, phase=Phase.RUNNING, at_ms=1)


@pytest.fixture
def opened() -> Iterator[Open]:
    found: list[Outbox] = []

    def open_in(folder: Path) -> Outbox:
        numbers = iter(range(1, 9))
        new_id = lambda: f"{folder.name}-{next(numbers)}"  # noqa: E731
        found.append(open_outbox(folder / "outbox.db", boot_id="boot", new_id=new_id, now_ms=1))
        return found[-1]

    yield open_in
    for outbox in found:
        outbox.close()


@pytest.fixture
def original(tmp_path: Path, opened: Open) -> Path:
    """A folder whose node was told to run something, does, and has not told it yet; its proxy has ended."""
    folder = tmp_path / "original"
    (folder / "keeper").mkdir(parents=True)
    outbox = opened(folder)
    claim(outbox, folder, folder / "keeper")
    outbox.commit(
        [
            SaveDesired(log_id="log", revision=7, assignments=(ASSIGNMENT,), specs={"a/1": b"{}"}),
            SaveRecord(record=Record(report=REPORT, driver="process")),
            SendReport(report=REPORT),
        ]
    )
    owner(outbox, pid=2**22 + 1)
    outbox.close()
    return folder


def owner(outbox: Outbox, **changed: object) -> None:
    """As if another process had had the folder."""
    then = place.decode(outbox.folder)
    assert then is not None
    outbox.save_folder(place.encode(then._replace(**changed)))  # type: ignore[arg-type]


def copied(original: Path) -> Path:
    return Path(shutil.copytree(original, original.parent / "copy"))


def test_the_same_folder_is_the_same_node_again(original: Path, opened: Open) -> None:
    outbox = opened(original)
    claim(outbox, original, original / "keeper")
    assert outbox.id == "original-1"
    assert outbox.restored(1).assignments == (ASSIGNMENT,)


def test_a_copy_beside_the_original_is_refused_and_told_what_to_do(original: Path, opened: Open) -> None:
    copy = copied(original)
    with pytest.raises(FolderCopied) as caught:
        claim(opened(copy), copy, copy / "keeper")
    said = str(caught.value)
    assert f"{copy} is a copy of {original}, which is still there" in said
    assert f"Start the node on {original}" in said
    assert f"delete {copy} and join anew" in said


def test_it_stays_refused(original: Path, opened: Open) -> None:
    copy = copied(original)
    for _ in range(2):
        outbox = opened(copy)
        with pytest.raises(FolderCopied):
            claim(outbox, copy, copy / "keeper")
        outbox.close()


def test_a_folder_that_was_renamed_is_the_same(original: Path, opened: Open) -> None:
    moved = original.rename(original.parent / "moved")
    outbox = opened(moved)
    claim(outbox, moved, moved / "keeper")
    assert outbox.id == "original-1"
    assert outbox.restored(1).assignments == (ASSIGNMENT,)
    known = place.decode(outbox.folder)
    assert known is not None
    assert known.directory == str(moved)


def test_one_that_was_moved_to_another_disk_starts_nothing_by_itself_and_forgets_nothing_else(
    original: Path, opened: Open
) -> None:
    """Another memory to Nexus, which may still talk to the original: that wins."""
    moved = copied(original)
    shutil.rmtree(original)
    outbox = opened(moved)
    claim(outbox, moved, moved / "keeper")
    assert outbox.id != "original-1"
    restored = outbox.restored(1)
    assert (restored.assignments, dict(restored.specs), restored.revision) == ((), {}, 0)
    assert [record.report for record in restored.records] == [REPORT]
    assert [pending.report for pending in outbox.pending(0, 9, 1 << 20)] == [REPORT]
    first = outbox.id
    outbox.close()

    again = opened(moved)
    claim(again, moved, moved / "keeper")
    assert (again.id, again.restored(1).assignments) == (first, ())


@pytest.mark.parametrize("who", ["node proxy", "keeper"])
def test_a_copy_in_the_place_of_an_original_that_still_runs_is_refused(original: Path, opened: Open, who: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            alive = place.here(str(original))._replace(pid=process.pid, started=started(process.pid))
            if who == "keeper":
                place.write(str(original / "keeper" / "keeper.place"), alive)
            else:
                outbox = opened(original)
                owner(outbox, pid=alive.pid, started=alive.started)
                outbox.close()
            aside = original.rename(original.parent / "aside")
            shutil.copytree(aside, original)
            with pytest.raises(FolderCopied, match=f"whose {who} still runs as process {process.pid}"):
                claim(opened(original), original, original / "keeper")
        finally:
            process.kill()


def started(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[19])


def test_a_device_that_is_numbered_anew_changes_nothing(original: Path, opened: Open) -> None:
    outbox = opened(original)
    owner(outbox, device=0, boot="another")
    claim(outbox, original, original / "keeper")
    assert outbox.id == "original-1"


def test_what_an_older_version_left_is_taken(original: Path, opened: Open) -> None:
    outbox = opened(original)
    outbox.save_folder("")
    claim(outbox, original, original / "keeper")
    assert outbox.id == "original-1"
    assert os.path.realpath(original) in outbox.folder
