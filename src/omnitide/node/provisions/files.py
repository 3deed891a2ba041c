"""Secrets and configs as files: in memory (tmpfs) alone, the instance's own, swapped whole.

ROOT/INSTANCE/secrets/NAME    ROOT is 0711, an instance's folder its user's, 0700
ROOT/INSTANCE/configs/NAME
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Final

from omnitide.drivers.protocol import Mount
from omnitide.model.provisions import INSIDE, ConfigUse, SecretUse
from omnitide.node.provisions.errors import of_disk, permanent
from omnitide.node.provisions.needs import Needs, file_name
from omnitide.node.provisions.supply import Value, Values
from omnitide.node.provisions.tree import Owner, PathUnsafe, Tree, parts_of
from omnitide.security.memory_folder import MemoryFolder

_ABSOLUTE: Final = "absolute"
"""Folder of files that a container finds one by one at paths of its own."""


class SecretFiles(MemoryFolder):
    """All files of secrets and configs on this node."""

    def write(self, needs: Needs, values: Values, owner: Owner | None, *, running: bool = False) -> list[Mount]:
        """Write an instance's files; returns what has to be mounted. `running`: others see them while it is done.

        Raises DriverError.
        """
        mounts: list[Mount] = []
        for kind, found in (("secrets", values.secrets), ("configs", values.configs)):
            uses: Mapping[str, SecretUse | ConfigUse] = needs.secrets if kind == "secrets" else needs.configs
            named = {name: file_name(name, use) for name, use in uses.items()}
            if any(named.values()):
                mounts += self._write(needs, kind, uses, named, found, owner, running=running)
        return mounts

    def _write(
        self,
        needs: Needs,
        kind: str,
        uses: Mapping[str, SecretUse | ConfigUse],
        named: Mapping[str, str],
        values: Mapping[str, Value],
        owner: Owner | None,
        *,
        running: bool,
    ) -> list[Mount]:
        place = f"{self._instance(needs.instance, owner)}/{kind}"
        mounts: list[Mount] = []
        # Of no known owner: whoever is in the container may read them. Outside, the instance's folder keeps others off.
        shared = needs.own_paths and owner is None
        try:
            with Tree(place, owner, mode=0o755 if shared else 0o700) as tree:
                for name, file in named.items():
                    if not file or name not in values:
                        continue
                    mode, data = int(uses[name].mode, 8), values[name].text.reveal()
                    mode |= mode >> 3 | mode >> 6 if shared else 0
                    if not file.startswith("/"):
                        tree.file(parts_of(file), (data,), mode)
                        continue
                    parts = (_ABSOLUTE, name)
                    if running:
                        # The container has this very file: another one in its place would not be seen there.
                        tree.overwrite(parts, data)
                    else:
                        tree.file(parts, (data,), mode)
                    mounts.append(Mount(source=f"{place}/{_ABSOLUTE}/{name}", target=file, read_only=True))
        except PathUnsafe as error:
            raise permanent(f"a file of {kind}: {error}", "provision-unsafe") from None
        except OSError as error:
            raise of_disk(error, f"files of {kind} (in memory)") from None
        if any(file and not file.startswith("/") for file in named.values()):
            mounts.append(Mount(source=place, target=INSIDE[kind] if needs.own_paths else place, read_only=True))
        return mounts if needs.mounted else []

    def _instance(self, instance: str, owner: Owner | None) -> str:
        if self._root is None:
            raise permanent(
                "this node has no file system in memory (tmpfs at /dev/shm) that it may write to: secrets are put in no"
                " file on a disk; hand them over as environment, or give it one",
                "no-tmpfs",
            )
        try:
            with contextlib.suppress(FileExistsError):
                self._root.mkdir(0o711)
            status = self._root.lstat()
            if status.st_uid != os.geteuid() or self._root.is_symlink() or status.st_mode & 0o066:
                raise permanent(f"{self._root} is not this node's own folder: somebody else made it", "no-tmpfs")
            self._root.chmod(0o711)
            path = self._root / instance
            Tree(str(path), owner).__exit__(None, None, None)
        except OSError as error:
            raise of_disk(error, "files of secrets (in memory)") from None
        return str(path)

    def owner(self, instance: str) -> Owner | None:
        """Whose an instance's files are; None: this node's own user's, or there are none."""
        if self._root is None or os.geteuid() != 0:
            return None
        try:
            status = (self._root / instance).lstat()
        except OSError:
            return None
        return Owner(status.st_uid, status.st_gid)
