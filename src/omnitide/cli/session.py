"""What a command works with: the client of the fabric that is meant, and how to show what it says."""

import os
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from omnitide.cli.exits import Exit, Failure
from omnitide.cli.globals import Globals
from omnitide.cli.show.visible import painted_lines, visible_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from omnitide.cli.patience import Patience
    from omnitide.config import Loaded
    from omnitide.sdk.async_client import AsyncClient
    from omnitide.sdk.client import Client
    from omnitide.sdk.target import Target

DEFAULT_NAMESPACE = "default"


class Session:
    """One call of the command line."""

    def __init__(self, options: Globals) -> None:
        self.options = options

    @property
    def output(self) -> str:
        return self.options.output

    @property
    def plain(self) -> bool:
        """Output is for programs."""
        return self.options.output != "table"

    @property
    def quiet(self) -> bool:
        return self.options.quiet or self.plain

    @property
    def namespace(self) -> str:
        """Where single things are looked for."""
        return self.options.namespace or DEFAULT_NAMESPACE

    def name(self, reference: str) -> tuple[str, str]:
        """Namespace and name of `name` or `namespace/name`."""
        namespace, slash, name = reference.partition("/")
        return (namespace, name) if slash else (self.namespace, reference)

    @cached_property
    def color(self) -> bool:
        return sys.stdout.isatty() and not self.options.no_color and not os.environ.get("NO_COLOR")

    @cached_property
    def loaded(self) -> "Loaded":
        """The settings. Raises Failure."""
        return load_settings(self.options.config, self.options.data)

    @cached_property
    def data(self) -> Path:
        """Data folder of the local fabric."""
        from omnitide.config.folders import root_of

        return root_of(self.options.data, os.environ)

    @cached_property
    def own_profile(self) -> Path:
        """Where `up` writes by which fabric is meant next time: of a data folder that is named, else the user's own."""
        from omnitide.sdk.target import PROFILE_NAME, profile_path

        return self.data / PROFILE_NAME if self.options.data else profile_path()

    @cached_property
    def profile_path(self) -> Path:
        """By which the fabric is found. One in the default data folder is also found from another home than that of
        whoever began it, as in a cron job or after `su`."""
        from omnitide.sdk.target import PROFILE_NAME

        own, beside = self.own_profile, self.data / PROFILE_NAME
        return beside if not os.path.lexists(own) and os.path.exists(beside) else own

    @cached_property
    def target(self) -> "Target":
        """The fabric that is meant. Raises FabricError."""
        from omnitide.sdk.target import find_target

        options = self.options
        given = bool(options.url and options.token_file)
        client = None if given else self.loaded.settings.client
        if client is not None and options.data and not options.url:
            # A data folder that is named outweighs what files and environment say of another fabric.
            return find_target(token_file=options.token_file, ca_file=options.ca, environ={}, profile=self.profile_path)
        return find_target(
            url=options.url or (client.url if client else ""),
            token=client.token if client and not options.token_file else "",
            token_file=options.token_file or (client.token_file if client else ""),
            ca_file=options.ca or (client.ca_file if client else ""),
            environ={},
            profile=self.profile_path,
        )

    def client(self) -> "Client":
        from omnitide.sdk.client import Client

        return Client(self.target, waiting=self._patience.waiting)

    @cached_property
    def _patience(self) -> "Patience":
        from omnitide.cli.patience import Patience

        log = self.data / "nexus.log"
        # Of a Nexus elsewhere only its own machine knows where that is.
        known = str(log) if self.target.local and log.exists() else "nexus.log in its data folder"
        return Patience(self.note, self.target.url, known)

    def async_client(self) -> "AsyncClient":
        from omnitide.sdk.async_client import AsyncClient

        return AsyncClient(self.target)

    # -- output ------------------------------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """For people; nothing if they asked for quiet or a program reads."""
        if not self.quiet:
            print(visible_lines(text), flush=True)

    def say_painted(self, text: str) -> None:
        """The same of a text that `paint` was at; what others wrote is made `visible` before it comes into that."""
        if not self.quiet:
            print(painted_lines(text), flush=True)

    def note(self, text: str) -> None:
        """Beside the output."""
        if not self.options.quiet:
            print(visible_lines(text), file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """What must not be missed, however quiet it shall be."""
        print(f"warning: {visible_lines(text)}", file=sys.stderr, flush=True)

    def emit(self, value: object) -> None:
        """An object for programs, in the form that they asked for."""
        from omnitide.cli.show.forms import write

        write(value, self.output)


def agreed(question: str) -> None:
    """Raises Failure for a no, Abort for Ctrl-C."""
    if not typer.confirm(question, err=True):
        raise Failure("not agreed to: nothing was changed", "--yes does not ask")


def session_of(context: typer.Context) -> Session:
    state = context.find_object(Globals)
    assert state is not None, "every command is run below the root"
    return Session(state)


def load_settings(config: str, data: str = "", flags: "Mapping[str, object] | None" = None) -> "Loaded":
    """Raises Failure with every problem."""
    from omnitide.config import ConfigError, load

    try:
        return load(flags, config=config or None, data=data)
    except ConfigError as error:
        text = "\n       ".join(str(problem) for problem in error.problems)
        raise Failure(text, "omnitide config schema says what there is", Exit.USAGE) from None
