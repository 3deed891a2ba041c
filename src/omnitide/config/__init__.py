"""Settings of every process: one validated model from flags, environment, TOML files and defaults, in that order.

`folders` decides where data lies, `settings` is the model, `fields` what is known of each value, `sources` reads and
merges, `report` shows values with their source, `watch` reloads, `positions` finds lines, `ports` looks whether one can
be listened on. Imports the model and telemetry.logs; the node loads it.
"""

from omnitide.config.errors import ConfigError, Problem
from omnitide.config.settings import Settings
from omnitide.config.sources import Loaded, Origin, load

__all__ = ["ConfigError", "Loaded", "Origin", "Problem", "Settings", "load"]
