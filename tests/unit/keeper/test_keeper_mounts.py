"""Where the keeper does not look: file systems that may not answer."""

import pytest

from omnitide.node.keeper import spawn
from omnitide.node.keeper.mounts import Mounts, remote_places
from omnitide.node.keeper.protocol import Refused

MOUNTINFO = """\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
40 21 0:35 / /srv/share rw - nfs4 server:/export rw,vers=4.2
41 21 0:36 / /home/me/cloud\\040drive rw - fuse.sshfs me@host: rw
42 21 0:37 / /net rw - autofs /etc/auto.net rw
43 21 0:38 / /proc rw - proc proc rw
"""


def test_remote_places_are_known_by_their_kind():
    assert remote_places(MOUNTINFO) == ["/srv/share", "/home/me/cloud drive", "/net"]


@pytest.mark.parametrize(
    ("path", "hangs"),
    [
        ("/srv/share", True),
        ("/srv/share/bin/tool", True),
        ("/srv/../srv/share/x", True),
        ("/srv/shared", False),
        ("/srv", False),
        ("/net/host", True),
        ("/bin/true", False),
    ],
)
def test_paths_below_them_may_hang(path, hangs):
    mounts = Mounts()
    mounts._places = remote_places(MOUNTINFO)
    assert mounts.may_hang(path) is hangs


def test_a_root_that_is_remote_makes_everything_so():
    mounts = Mounts()
    mounts._places = remote_places("21 1 0:35 / / rw - nfs4 server:/root rw\n")
    assert mounts.may_hang("/bin/true")


def test_programs_are_looked_up_as_a_shell_does(tmp_path):
    assert spawn.possible_programs("./tool", "/a:/b") == ("./tool",)
    assert spawn.possible_programs("tool", "/a::/b") == ("/a/tool", "./tool", "/b/tool")
    (tmp_path / "tool").touch()
    found = spawn.existing_programs("tool", ("/no/tool", "./tool"), str(tmp_path))
    assert found == ("./tool",)
    with pytest.raises(Refused, match=r"^tool: not on the node's PATH$") as caught:
        spawn.existing_programs("tool", ("/no/tool",), str(tmp_path))
    assert caught.value.cause == "command-not-found"
