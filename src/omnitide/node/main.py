"""The node proxy process: `python -m omnitide.node --data DIR`, on a machine that has joined a fabric.

Exit codes: 0 stopped in order, 1 cannot run now (the reason is on standard error), 2 wrong arguments or configuration,
4 removed from the fabric, 5 its identity cannot be used or its data directory is a copy, 6 another node proxy has the
data directory. Starting it again can help after 1 only.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from omnitide.config import ConfigError, load
from omnitide.config.descriptors import raise_open_files
from omnitide.config.disks import words_of
from omnitide.config.folders import settled
from omnitide.config.neighbours import Neighbours, whole
from omnitide.config.watch import ConfigWatcher
from omnitide.node.claim import FolderCopied
from omnitide.node.identities import IdentityNotRead, IdentityUnusable, IdentityVault
from omnitide.node.keeper.launch import give_open_files
from omnitide.security.data_lock import DataInUse, lock_data
from omnitide.security.errors import SecurityError
from omnitide.security.private_files import PRIVATE_UMASK, ensure_private_directory
from omnitide.telemetry import logs
from omnitide.telemetry.log_file import LogFile

IDENTITY_DIRECTORY: Final = "identity"
LOCK_FILE: Final = "node.lock"

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_REMOVED: Final = 4
"""Nexus says that this node is no longer of the fabric: starting it again cannot help."""
EXIT_UNUSABLE: Final = 5
EXIT_HELD: Final = 6


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    flags: dict[str, object] = {
        "node.data_dir": given.data,
        "node.name": given.name,
        "node.labels": dict(given.label) if given.label else None,
        "log.level": given.log_level,
        "log.format": given.log_format,
    }
    try:
        watcher = ConfigWatcher(load(flags, config=given.config))
    except ConfigError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return EXIT_USAGE
    # What instances make is not under it: the keeper sets theirs.
    os.umask(PRIVATE_UMASK)
    data = settled(watcher.settings.node.data_dir)
    try:
        log = watcher.settings.log
        file = LogFile(given.log_file, log.max_bytes, log.keep) if given.log_file else None
        logs.configure(log.level, log.format, file=file)
        # Instances keep what this process was given: not every program can deal with more.
        give_open_files(*raise_open_files())
        # Others may pass through to the directories of instances that run as them; every file here is private itself.
        ensure_private_directory(data, passable=True)
        Neighbours.of(os.environ).note(whole(data))
        with lock_data(data, LOCK_FILE, "node proxy"):
            return _run(watcher, data, tuple(given.endpoint or ()), given.cgroup)
    except (SecurityError, IdentityUnusable, FolderCopied, DataInUse, OSError) as error:
        logs.last_words("the node proxy cannot go on", words_of(error, data))
        match error:
            case DataInUse():
                return EXIT_HELD
            case OSError() | IdentityNotRead():
                return EXIT_FAILED
            case _:
                return EXIT_UNUSABLE


def _run(watcher: ConfigWatcher, data: Path, endpoints: tuple[str, ...], cgroup: str) -> int:
    vault = IdentityVault(data / IDENTITY_DIRECTORY)
    reading = vault.begin_show()
    # gRPC takes as long to load as the identity to be read: on two cores, both in the time of one.
    from omnitide.node.assembly import End, Node

    gc.freeze()
    gc.enable()
    node = Node(watcher, data, vault, vault.end_show(reading), endpoints=endpoints, cgroup=cgroup)
    return EXIT_REMOVED if asyncio.run(node.run()) is End.REMOVED else os.EX_OK


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m omnitide.node", description="Run a node proxy.")
    parser.add_argument("--data", help="data directory: identity, outbox, instances and logs")
    parser.add_argument("--config", help="configuration file")
    parser.add_argument("--name", help="name of this node")
    parser.add_argument(
        "--label", action="append", metavar="KEY=VALUE", type=_label, help="label that placement may ask for"
    )
    parser.add_argument("--endpoint", action="append", metavar="HOST:PORT", help="Nexus to dial before those known")
    parser.add_argument("--cgroup", choices=("auto", "off"), default="auto", help="whether to use control groups")
    parser.add_argument("--log-file", help="file to log to, which is then bounded (default: standard error)")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--log-format", choices=("console", "json"))
    return parser.parse_args(arguments)


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
