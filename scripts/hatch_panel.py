"""A hook of hatchling: what is packaged holds the built panel, or is not made.

An editable installation, which a checkout has, does without until `make web`. OMNITIDE_WITHOUT_PANEL=1 packages
without.
"""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PanelHook(BuildHookInterface[Any]):
    """Raises FileNotFoundError where there is no panel to be packaged."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 as hatchling calls it
        index = Path(self.root, "src/omnitide/api/static/index.html")
        if version == "editable" or index.exists() or os.environ.get("OMNITIDE_WITHOUT_PANEL") == "1":
            return
        raise FileNotFoundError(f"{index} is not there: make web builds it, OMNITIDE_WITHOUT_PANEL=1 does without")
