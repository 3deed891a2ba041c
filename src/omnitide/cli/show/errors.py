"""Errors: one line of what, where and why, one with the next step; the problem's details for programs."""

import sys
from typing import TYPE_CHECKING

from omnitide.cli.exits import Exit, Failure, code_of
from omnitide.cli.globals import Globals
from omnitide.cli.show.visible import visible_lines

if TYPE_CHECKING:
    import typer

    from omnitide.model.manifest import ManifestError
    from omnitide.sdk.errors import FabricError


def say(text: str, hint: str = "") -> None:
    print(f"error: {visible_lines(text)}", file=sys.stderr)
    if hint:
        print(f"hint:  {visible_lines(hint)}", file=sys.stderr)


def _program(code: int, kind: str, detail: str, hint: str, state: Globals, **more: object) -> int:
    from omnitide.cli.show.forms import as_text

    told = {"type": f"urn:omnitide:problem:{kind}", "code": kind, "detail": detail, "hint": hint, **more}
    told = {key: value for key, value in told.items() if value not in ("", (), [])}
    sys.stderr.write(as_text(told, state.output))
    return code


def tell_failure(error: Failure, state: Globals) -> int:
    if state.output != "table":
        return _program(error.code, error.code.name.lower().replace("_", "-"), error.what, error.hint, state)
    say(error.what, error.hint)
    return error.code


def tell_usage(error: "typer.TyperException", state: Globals) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "omnitide"
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message())
        return Exit.USAGE
    hint = f"{command} --help"
    option = str(getattr(error, "option_name", ""))
    if option[:1] == "-" and option[1:].isdecimal():
        hint = f"{option} is taken for an option, and no number here is below 0; {hint}"
    if state.output != "table":
        return _program(Exit.USAGE, "usage", error.format_message(), hint, state)
    say(error.format_message(), hint)
    return Exit.USAGE


def tell_manifest_error(error: "ManifestError", state: Globals) -> int:
    if state.output != "table":
        faults = [fault._asdict() for fault in error.faults]
        return _program(Exit.USAGE, "invalid", "the manifest is refused", "", state, errors=faults)
    for fault in error.faults:
        print(f"error: {visible_lines(str(fault))}", file=sys.stderr)
    number = len(error.faults)
    hint = "omnitide schema agent prints what a manifest may hold"
    print(f"hint:  {number} fault{'s' if number > 1 else ''}, nothing was changed; {hint}", file=sys.stderr)
    return Exit.USAGE


def _hung(error: "FabricError", state: Globals) -> "FabricError":
    """The same, with what this machine knows of a Nexus of its own that is there and does not answer."""
    from msgspec.structs import replace

    from omnitide.cli.fabric.here import hanging
    from omnitide.cli.session import Session

    told = hanging(Session(state), error.detail)
    return error if told is None else type(error)(replace(error.problem, detail=told[0], hint=told[1]))


def tell_fabric_error(error: "FabricError", state: Globals) -> int:
    from omnitide.sdk.target import NoFabric

    if isinstance(error, NoFabric):
        from omnitide.cli.fabric.unknown import why_unknown
        from omnitide.cli.session import Session

        error = why_unknown(Session(state), error)
    elif error.code == "unreachable":
        error = _hung(error, state)
    code = code_of(error)
    if state.output != "table":
        from omnitide.cli.show.forms import as_text

        sys.stderr.write(as_text(error.problem, state.output))
        return code
    say(error.detail, error.hint)
    for fault in error.problem.errors if len(error.problem.errors) > 1 else ():
        place = f"{fault.field}: " if fault.field else ""
        text = f"{place}{fault.message}{f' ({fault.hint})' if fault.hint else ''}"
        print(f"       {visible_lines(text)}", file=sys.stderr)
    if code == Exit.FAILED and error.correlation:
        print(f"       correlation {error.correlation}", file=sys.stderr)
    return code
