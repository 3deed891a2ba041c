"""Whether something of a run is left, where only /proc can tell."""

import os
import subprocess

import pytest

from omnitide.node.keeper import processes
from omnitide.node.keeper.run import Run
from omnitide.node.keeper.tree import Trees


@pytest.fixture
def ended() -> Run:
    """A run whose main process is gone."""
    run = Run(instance="web-1", attempt=1, name="web-1", labels={})
    run.pid, run.main_alive = 2**22 + 1, False
    return run


@pytest.fixture
def orphans(monkeypatch) -> list[int]:
    """What the kernel lists as children of this process."""
    listed: list[int] = []
    monkeypatch.setattr(processes, "children", lambda pid: listed if pid == os.getpid() else [])
    return listed


def test_nothing_is_left_without_orphans(ended, orphans):
    assert not Trees("k", (), lambda _: False).alive(ended)


def test_an_orphan_that_vanishes_while_it_is_looked_at_leaves_the_question_open(ended, orphans):
    """It may have left another in its place, as one that runs away by forking does."""
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    orphans.append(gone.pid)
    assert Trees("k", (), lambda _: False).alive(ended)


def test_an_orphan_that_is_dead_but_not_reaped_leaves_it_open_too(ended, orphans):
    zombie = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    orphans.append(zombie.pid)
    assert Trees("k", (), lambda _: False).alive(ended)
    zombie.wait()


def test_an_orphan_that_dies_amid_the_search_leaves_it_open_too(ended, orphans, monkeypatch):
    """What was below it has then become the keeper's child, and stands in no list that was made before."""
    dying = subprocess.Popen(["/bin/sleep", "60"])
    orphans.append(dying.pid)
    search = processes.below

    def searched(roots):
        dying.kill()
        os.waitid(os.P_PID, dying.pid, os.WEXITED | os.WNOWAIT)
        return search(roots)

    monkeypatch.setattr(processes, "below", searched)
    assert Trees("k", (), lambda _: False).alive(ended)
    dying.wait()


def test_what_was_told_to_die_counts_until_it_has_though_nothing_shows_whose_it_is_any_more(
    ended, orphans, monkeypatch
):
    """A process that dies gives up its memory first, and its environment with it."""
    dying = subprocess.Popen(["/bin/sleep", "60"], env={"OMNITIDE_RUN_ID": "k/web-1/1"}, start_new_session=True)
    orphans.append(dying.pid)
    trees = Trees("k", (), lambda _: False)
    monkeypatch.setattr(processes, "kill_exactly", lambda process, number=0: None)  # it takes its time
    trees.kill(ended)
    monkeypatch.setattr(processes, "marker", lambda pid: "")
    assert trees.alive(ended)
    dying.kill()
    dying.wait()
    orphans.clear()
    assert not trees.alive(ended)


def test_only_what_shows_whose_it_is_counts(ended, orphans):
    strangers = [
        subprocess.Popen(["/bin/sleep", "60"], env={"OMNITIDE_RUN_ID": mark}, start_new_session=True)
        for mark in ("k/web-1/1", "k/web-1/2", "other/web-1/1", "")
    ]
    try:
        for stranger, expected in zip(strangers, (True, False, False, False), strict=True):
            orphans[:] = [stranger.pid]
            assert Trees("k", (), lambda _: False).alive(ended) is expected
            assert not Trees("k", [stranger.pid], lambda _: False).alive(ended)  # the main process of another
            assert not Trees("k", (), lambda _: True).alive(ended)  # a helper of the keeper's
    finally:
        for stranger in strangers:
            stranger.kill()
            stranger.wait()
