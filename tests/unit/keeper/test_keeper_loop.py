"""The event loop: order, timers, and that nothing unforeseen ends it."""

import os
import socket

import pytest

from omnitide.node.keeper.client import Client
from omnitide.node.keeper.loop import Loop
from omnitide.node.keeper.protocol import Decoder


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def test_timers_run_in_the_order_of_their_times(loop):
    said = []
    loop.after(30, lambda: said.append("late"))
    loop.after(0, lambda: said.append("first"))
    loop.after(0, lambda: said.append("second"))
    loop.after(20, lambda: said.append("never")).cancel()
    loop.after(40, loop.stop)
    loop.run()
    assert said == ["first", "second", "late"]


def test_edges_are_served_in_the_order_in_which_they_came(loop):
    pipes = [os.pipe() for _ in range(8)]
    said = []

    def take(number: int) -> None:
        said.append(os.read(pipes[number][0], 10))
        if len(said) % 8 == 0:
            loop.stop()

    for number, (reader, _) in enumerate(pipes):
        loop.watch_edge(reader, lambda number=number: take(number))
    expected = []
    for order in ([3, 1, 7, 0, 5, 2, 6, 4], [4, 6, 0, 1, 2, 3, 7, 5], [7, 6, 5, 4, 3, 2, 1, 0]):
        for number in order:
            os.write(pipes[number][1], b"%d" % number)
        expected += [b"%d" % number for number in order]
        loop._stopped = False
        loop.run()
    assert said == expected
    for pair in pipes:
        for fd in pair:
            os.close(fd)


def test_an_edge_comes_again_to_who_left_something_and_watches_again(loop):
    reader, writer = os.pipe()
    said = []

    def take() -> None:
        said.append(os.read(reader, 1))
        if said[-1] == b"c":
            loop.stop()
        else:
            loop.watch_edge(reader, take)

    loop.watch_edge(reader, take)
    os.write(writer, b"abc")
    loop.run()
    assert said == [b"a", b"b", b"c"]
    os.close(reader)
    os.close(writer)


def test_what_was_forgotten_meanwhile_is_not_served(loop):
    """Its descriptor may already belong to another."""
    first, second = os.pipe(), os.pipe()
    said = []

    def serve(fd: int, other: int) -> None:
        said.append(fd)
        loop.forget(fd)
        loop.forget(other)
        loop.after(0, loop.stop)

    loop.watch(first[0], lambda: serve(first[0], second[0]))
    loop.watch(second[0], lambda: serve(second[0], first[0]))
    os.write(first[1], b"x")
    os.write(second[1], b"x")
    loop.run()
    assert said == [first[0]]
    for fd in (*first, *second):
        os.close(fd)


def test_an_error_in_one_call_does_not_end_the_loop(loop, capfd):
    said = []

    def broken() -> None:
        raise RuntimeError("unforeseen")

    loop.after(0, broken)
    loop.after(1, lambda: said.append("still here"))
    loop.after(2, loop.stop)
    loop.run()
    assert said == ["still here"]
    assert "unforeseen" in capfd.readouterr().err


def test_writable_is_only_told_where_asked_for(loop):
    reader, writer = os.pipe()
    said = []
    loop.watch(writer, lambda: said.append("not asked"))
    loop.after(20, lambda: loop.watch(writer, lambda: (said.append("writable"), loop.stop()), write=True))
    loop.run()
    assert said == ["writable"]
    os.close(reader)
    os.close(writer)


def test_what_is_put_off_to_the_end_of_a_turn_comes_after_all_that_is_due_in_it_and_once(loop):
    seen = []

    def first() -> None:
        loop.at_last(lambda: seen.append("last"))
        loop.at_last(lambda: loop.at_last(lambda: seen.append("and what that put off")))
        seen.append("first")

    loop.after(0, first)
    loop.after(0, lambda: seen.append("second"))
    loop.after(0, loop.stop)
    loop.run()
    assert seen == ["first", "second", "last", "and what that put off"]


def test_what_a_client_is_told_in_one_turn_goes_out_at_once(loop):
    """Each send wakes the client, which would take the processor from the keeper for every message."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps sends apart
    client = Client(loop, here, lambda client, message: None, lambda client: None)

    def talk() -> None:
        for number in range(3):
            client.send({"id": number})
        loop.stop()

    loop.after(0, talk)
    loop.run()
    decoder = Decoder()
    decoder.feed(there.recv(1 << 16))
    assert [decoder.next() for _ in range(4)] == [{"id": 0}, {"id": 1}, {"id": 2}, None]
    client.send({"id": 3})
    client.close()
    decoder.feed(there.recv(1 << 16))
    assert decoder.next() == {"id": 3}, "what was not sent yet goes before the end"
    there.close()
