"""Whether a data folder is the one whose outbox it holds: a node has one folder, and a copy of it is no second node.

What a copied outbox says is to run runs already, for the original. So a copy does not start while the original is there
or its processes live. A folder that was moved to another disk, or put back from a backup, starts; but it starts no
instance before Nexus has said what should be, and says hello under a new outbox id, as another memory than the one that
Nexus may still be talking to.
"""

from pathlib import Path

from omnitide.node.keeper import place
from omnitide.node.keeper.paths import Paths
from omnitide.node.keeper.place import Place
from omnitide.node.outbox import Outbox
from omnitide.telemetry import logs

log = logs.get(__name__)


class FolderCopied(Exception):
    """The data folder is a copy, and the original is in use or could be."""

    def __init__(self, folder: str, original: str, why: str, instead: str) -> None:
        super().__init__(
            f"{folder} is a copy of {original}, {why}: two proxies with one identity would run the same instances "
            f"twice. {instead}; for another node, delete {folder} and join anew (omnitide join)"
        )
        self.folder = folder
        self.original = original


def claim(outbox: Outbox, data: Path, keeper: Path) -> None:
    """Make the folder this process's, which holds its lock. Raises FolderCopied, OSError.

    `keeper`: the keeper's folder, which tells by itself who had it last.
    """
    now = place.here(str(data))
    then = place.decode(outbox.folder)
    if then is not None and not place.is_same(then, now):
        _refuse_copy(then, now, place.read(Paths(str(keeper)).place))
        log.warning(
            "the data folder was moved or put back; nothing starts before Nexus says what should run",
            folder=now.directory,
            before=then.directory,
        )
        outbox.begin_elsewhere()
    outbox.save_folder(place.encode(now))


def _refuse_copy(then: Place, now: Place, keeper: Place | None) -> None:
    instead = f"Start the node on {then.directory}"
    if place.is_there(then):
        why = "which is still there"
        raise FolderCopied(now.directory, then.directory, why, f"{instead}, or delete that one if this is to be used")
    for owner, what in ((then, "node proxy"), (keeper, "keeper")):
        if owner is not None and place.is_alive(owner):
            why = f"whose {what} still runs as process {owner.pid}"
            raise FolderCopied(now.directory, then.directory, why, "Stop that first (omnitide down, where it is now)")
