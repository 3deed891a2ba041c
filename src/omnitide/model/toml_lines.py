"""Lines of a TOML document, for messages about values that are well-formed but wrong.

The standard library's reader gives values without places, so the text is read again by tree-sitter, and only when there
is something to say.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

KeyPath = tuple[str | int, ...]


def toml_lines(text: str) -> dict[KeyPath, int]:
    """Line, from 1, of every key, table and list element, by its path: `("lease", "keepalive_ms")`, `("a", 0, "b")`.

    What cannot be parsed is left out. Needs tree-sitter, which is loaded here.
    """
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode("utf-8", "surrogatepass"))
    lines: dict[KeyPath, int] = {}
    lists: dict[KeyPath, int] = {}
    for node in tree.root_node.named_children:
        if node.type == "pair":
            _pair(node, (), lines)
        elif node.type in ("table", "table_array_element"):
            _table(node, lines, lists)
    return lines


def _table(node: "Node", lines: dict[KeyPath, int], lists: dict[KeyPath, int]) -> None:
    head, *pairs = node.named_children
    keys = _keys(head)
    path: KeyPath = ()
    for depth, key in enumerate(keys):
        path = (*path, key)
        if depth == len(keys) - 1 and node.type == "table_array_element":
            lists[path] = lists.get(path, -1) + 1
        lines.setdefault(path, head.start_point.row + 1)
        if path in lists:
            # A header below a list of tables speaks of the list's last element.
            path = (*path, lists[path])
            lines.setdefault(path, head.start_point.row + 1)
    for pair in pairs:
        if pair.type == "pair":
            _pair(pair, path, lines)


def _pair(node: "Node", above: KeyPath, lines: dict[KeyPath, int]) -> None:
    children = [child for child in node.named_children if child.type != "ERROR"]
    if not children:
        return
    path = above
    for key in _keys(children[0]):
        path = (*path, key)
        lines.setdefault(path, node.start_point.row + 1)
    for value in children[1:2]:
        _value(value, path, lines)


def _value(node: "Node", path: KeyPath, lines: dict[KeyPath, int]) -> None:
    if node.type == "inline_table":
        for child in node.named_children:
            if child.type == "pair":
                _pair(child, path, lines)
    elif node.type == "array":
        elements = [child for child in node.named_children if child.type != "comment"]
        for index, child in enumerate(elements):
            lines.setdefault((*path, index), child.start_point.row + 1)
            _value(child, (*path, index), lines)


def _keys(node: "Node") -> list[str]:
    if node.type == "dotted_key":
        return [key for child in node.named_children for key in _keys(child)]
    text = (node.text or b"").decode("utf-8", "replace")
    if node.type != "quoted_key":
        return [text]
    import tomllib

    # The reader that gave the values also reads the key, so that escapes come out the same.
    return list(tomllib.loads(f"{text} = 0"))
