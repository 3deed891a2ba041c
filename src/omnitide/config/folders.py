"""Where a fabric keeps its data on this machine: one root, with a folder for Nexus and one for the node.

The one place that decides it. `--data` is stronger than OMNITIDE_DATA, and each means both folders at its own level;
`nexus.data_dir` and `node.data_dir` may be set one by one by a variable or a file. The stronger source wins, and of two
variables the more special one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

DATA_VARIABLE: Final = "OMNITIDE_DATA"
"""Names the root; it is no setting itself."""
DATA_FLAG: Final = "--data"
PARTS: Final = ("nexus", "node")


def default_root(environ: Mapping[str, str]) -> Path:
    """/var/lib for root, else the user's state folder (XDG)."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/omnitide")
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".local" / "state")
    return Path(base) / "omnitide"


def root_of(given: str, environ: Mapping[str, str]) -> Path:
    """The root: what is given, else the variable, else the default. Holds logs, records and the lock of `up`."""
    named = given or environ.get(DATA_VARIABLE, "")
    return settled(named) if named else settled(default_root(environ))


def settled(folder: str | Path) -> Path:
    """The one name of a folder, whatever links lead to it: two spellings of it must not be two fabrics."""
    return Path(os.path.realpath(Path(folder).expanduser()))


def parts_below(root: str) -> dict[str, str]:
    """Key of each part's setting with its folder below a root."""
    return {f"{part}.data_dir": str(Path(root) / part) for part in PARTS}
