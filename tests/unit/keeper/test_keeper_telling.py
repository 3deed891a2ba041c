"""What is told of a run and what is remembered: put together from pieces, it says the same as the whole."""

import json

from hypothesis import given
from hypothesis import strategies as st

from omnitide.node.keeper.ending import Exit
from omnitide.node.keeper.run import (
    EXITED,
    RUNNING,
    STARTING,
    STOPPING,
    UNKNOWN,
    ZYGOTE,
    Run,
    public,
    record,
    remembered,
    told,
)

texts = st.dictionaries(st.text(), st.text(), max_size=3)
exits = st.builds(
    Exit,
    code=st.none() | st.integers(0, 255),
    signal=st.none() | st.integers(1, 64),
    reason=st.text(),
    message=st.text(),
    out_of_memory=st.booleans(),
    ended_at_ms=st.integers(0, 2**53),
)


@st.composite
def runs(draw: st.DrawFn) -> Run:
    run = Run(instance="web-1", attempt=draw(st.integers(1, 9)), name=draw(st.text()), labels=draw(texts))
    run.pid, run.started_ticks = draw(st.integers(0, 2**22)), draw(st.integers(0, 2**40))
    run.started_at_ms = draw(st.integers(0, 2**53))
    run.groups, run.unenforced = draw(texts), tuple(draw(st.lists(st.text(), max_size=2)))
    run.kind = draw(st.sampled_from(["", ZYGOTE]))
    return run


@given(run=runs(), states=st.lists(st.sampled_from([STARTING, RUNNING, STOPPING, EXITED, UNKNOWN])), how=exits)
def test_it_is_told_as_it_is_at_the_moment(run, states, how):
    for state in states:
        run.state = state
        assert json.loads(told(run)) == json.loads(json.dumps(public(run)))
        run.exit = how


@given(run=runs(), boot=st.text())
def test_it_is_remembered_whole(run, boot):
    told(run)
    assert json.loads(remembered(run, json.dumps(boot).encode())) == json.loads(json.dumps(record(run, boot)))
