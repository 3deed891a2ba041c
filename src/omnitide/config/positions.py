"""Lines of a TOML document, for messages about values that are well-formed but wrong. Manifests need them too."""

from omnitide.model.toml_lines import KeyPath, toml_lines

__all__ = ["KeyPath", "toml_lines"]
