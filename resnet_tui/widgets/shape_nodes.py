"""The rows of a shape table as a tree: stages, their blocks, their operations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, takewhile

from engine.events import ShapeRow
from engine.shapes.groups import Detail, grouped


@dataclass(eq=False)
class Node:
    """A row and what is folded into it."""

    row: ShapeRow
    name: str
    """What of its name is not in the name of the row above."""
    depth: int
    """0 for stages, stem and head."""
    operations: tuple[ShapeRow, ...]
    """All that it sums up; itself where it is one."""
    children: list["Node"] = field(default_factory=list)
    open: bool = False
    """Whether its children are seen."""
    parent: "Node | None" = None

    @property
    def of_blocks(self) -> bool:
        """Whether it is a stage of several blocks."""
        return any(child.children for child in self.children)


def tree(rows: Sequence[ShapeRow]) -> list[Node]:
    """Return the top rows, all folded. A stage of a single block is shown as this block."""
    stages = {row.name: row for row in grouped(rows, "stages")}
    blocks = list(_blocks(rows))
    top: list[Node] = []
    for name, row in stages.items():
        inside = [(block, operations) for block, operations in blocks if block.block and block.stage == name]
        if len(inside) > 1:
            top.append(_stage(row, inside))
        elif inside:
            top.append(_part(*inside[0], inside[0][0].name, 0))
        else:
            top += [_part(block, operations, name, 0) for block, operations in blocks if block.name == name]
    return top


def seen(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield the rows that are not folded away, from the top to the bottom."""
    for node in nodes:
        yield node
        if node.open:
            yield from seen(node.children)


def everything(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield all rows, folded away or not."""
    for node in nodes:
        yield node
        yield from everything(node.children)


def set_open(nodes: Sequence[Node], detail: Detail) -> None:
    """Unfold down to ``detail`` and fold what is below."""
    for node in nodes:
        node.open = detail == "operations" or (detail == "blocks" and node.of_blocks)
        set_open(node.children, detail)


def _blocks(rows: Sequence[ShapeRow]) -> Iterator[tuple[ShapeRow, tuple[ShapeRow, ...]]]:
    """Yield the row of each block, and of each group of stem and head, with its operations."""
    place = 0
    for group in grouped(rows, "blocks"):
        rest = islice(rows, place, None)
        if group.block:
            operations = tuple(takewhile(partial(_same_block, group), rest))
        else:
            operations = tuple(islice(rest, group.name.count("+") + 1))  # such as stem.conv+norm+relu
        place += len(operations)
        yield group, operations


def _same_block(a: ShapeRow, b: ShapeRow) -> bool:
    return (a.stage, a.block) == (b.stage, b.block)


def _stage(row: ShapeRow, blocks: list[tuple[ShapeRow, tuple[ShapeRow, ...]]]) -> Node:
    inside = tuple(operation for _, operations in blocks for operation in operations)
    stage = Node(row, row.name, 0, inside)
    for block, operations in blocks:
        child = _part(block, operations, block.block, 1)
        child.parent = stage
        stage.children.append(child)
    return stage


def _part(row: ShapeRow, operations: tuple[ShapeRow, ...], name: str, depth: int) -> Node:
    node = Node(row, name, depth, operations)
    if len(operations) > 1:
        above = f"{row.stage}.{row.block}." if row.block else f"{row.stage}."
        node.children = [
            Node(operation, operation.name.removeprefix(above), depth + 1, (operation,), parent=node)
            for operation in operations
        ]
    return node
