"""The keeper's grammar and protocol: what is let in, and what comes out of a stream of bytes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnitide.node.keeper import protocol, spec
from omnitide.node.keeper.__main__ import WrongUse, again, parse
from omnitide.node.keeper.paths import Paths, is_instance
from omnitide.node.keeper.protocol import Decoder, ProtocolError, Refused


class TestInstances:
    @pytest.mark.parametrize("name", ["a", "web-2.1", "0", "x" * 128, "a..b", "a.-"])
    def test_good_names(self, name):
        assert is_instance(name)

    @given(st.text(max_size=200))
    def test_whatever_is_let_in_is_one_component_of_a_path(self, tmp_path_factory, name):
        if not is_instance(name):
            with pytest.raises(Refused):
                Paths("/k").logs_of(name)
            return
        assert os.path.normpath(f"/base/{name}") == f"/base/{name}"
        assert "/" not in name
        assert name not in (".", "..")
        assert not name.startswith(("-", "."))
        assert name.isascii()
        assert len(name) <= 128

    @given(st.text(alphabet="ab.-/~\0\n 0", max_size=6))
    def test_neither_path_leaves_its_folder(self, name):
        paths = Paths("/k")
        if is_instance(name):
            assert os.path.dirname(os.path.realpath(paths.work_of(name))) == paths.work


class TestStream:
    @given(
        st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=4), max_size=8),
        st.lists(st.integers(1, 50), max_size=50),
    )
    def test_messages_come_out_whole_however_the_bytes_are_cut(self, messages, cuts):
        data = b"".join(map(protocol.encode, messages))
        decoder = Decoder()
        found = []
        for cut in [*cuts, len(data)]:
            part, data = data[:cut], data[cut:]
            decoder.feed(part)
            while (message := decoder.next()) is not None:
                found.append(message)
        decoder.feed(data)
        while (message := decoder.next()) is not None:
            found.append(message)
        assert found == messages

    @given(st.binary(max_size=100))
    def test_junk_is_refused_or_waited_for(self, junk):
        decoder = Decoder()
        decoder.feed(junk)
        try:
            while decoder.next() is not None:
                pass
        except ProtocolError:
            return

    def test_a_message_beyond_the_bound_is_neither_sent_nor_awaited(self):
        with pytest.raises(ProtocolError):
            protocol.encode({"x": "y" * protocol.MAX_MESSAGE})
        decoder = Decoder()
        decoder.feed((protocol.MAX_MESSAGE + 1).to_bytes(4, "big"))
        with pytest.raises(ProtocolError):
            decoder.next()


LAUNCH = {"instance": "web-1", "attempt": 1, "command": ["true"]}


class TestSpec:
    def test_the_least_that_is_needed(self):
        made = spec.parse(dict(LAUNCH))
        assert made.environment == {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        assert made.limits.asked() == ()
        assert (made.stop_signal, made.name, made.fence_ms) == (15, "web-1", 0)

    def test_a_log_file_holds_at_least_a_frame(self):
        made = spec.parse({**LAUNCH, "logs": {"max_file_bytes": 1, "max_files": 1}})
        assert made.log_file_bytes >= 64 << 10

    def test_unknown_fields_are_those_of_a_newer_client(self):
        assert spec.parse({**LAUNCH, "from_the_future": {"x": 1}}).instance == "web-1"

    @given(
        st.dictionaries(
            st.sampled_from(sorted({*spec.RunSpec._fields, "logs", "identity", "limits"})),
            st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3), max_size=3),
        )
    )
    def test_anything_is_parsed_or_refused(self, fields):
        try:
            made = spec.parse({**LAUNCH, **fields})
        except Refused:
            return
        assert is_instance(made.instance)
        assert made.command
        assert made.attempt >= 1
        assert made.log_files >= 1

    def test_only_root_runs_as_others(self, monkeypatch):
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        assert spec.parse({**LAUNCH, "identity": {"uid": 1000, "gid": 1000}}).identity is None
        with pytest.raises(Refused) as caught:
            spec.parse({**LAUNCH, "identity": {"uid": 1001, "gid": 1}})
        assert caught.value.cause == "user"


class TestCommandLine:
    def test_all_options(self):
        line = "--directory /d --cgroup off --max-runs 7 --leaf-pid 3 --leaf-pid 4 --resume 9 --daemon"
        options, daemon, state = parse(line.split())
        assert options == ("/d", False, 7, (3, 4), 9)
        assert daemon
        assert state == -1

    @pytest.mark.parametrize(
        "line", ["", "--directory", "--directory d --cgroup on", "--directory d --max-runs -1", "--help", "d"]
    )
    def test_what_is_not_understood(self, line):
        with pytest.raises(WrongUse):
            parse(line.split())

    def test_the_next_program_gets_what_lasts(self):
        line = "-I -S -c program --directory d --daemon --max-runs 7 --resume 5 --check-state 6"
        assert " ".join(again(line.split())) == "-I -S -c program --directory d --max-runs 7"
