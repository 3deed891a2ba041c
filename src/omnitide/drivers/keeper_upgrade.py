"""An outdated keeper becomes the program installed now. What it runs goes on; nothing that it heard is lost."""

from omnitide.drivers.keeper_link import KeeperOptions, start_keeper
from omnitide.node.keeper.launch import KeeperUnavailable, upgrade_keeper
from omnitide.node.keeper.protocol import Refused
from omnitide.node.keeper.version import code_id


def bring_up_to_date(options: KeeperOptions) -> str:
    """Make sure that the directory's keeper, started now if there is none, is the installed program; blocks.

    Returns why it still is another, in which case it serves on as it is; empty if all is well. A keeper that cannot be
    reached is not this function's business: whoever connects next finds out.
    """
    try:
        installed = code_id()
        about = start_keeper(options)
        if about.get("code") == installed:
            return ""
        about = upgrade_keeper(options.directory)
    except Refused as refused:
        return f"the keeper stays an older program: {refused}"
    except (KeeperUnavailable, OSError):
        return ""
    if about.get("code") != installed:
        return (
            f"the keeper became {about.get('code')}, not {installed}, which is installed; stop it to have that started"
        )
    return ""
