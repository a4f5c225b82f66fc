"""Reading a whole game's analyses: the win-rate curve and the mistakes."""

from dataclasses import dataclass

from gui.analysis import first_player_value, win_rate
from gui.model import Node

LEAST_LOSS = 0.05  # of win rate: smaller ones are noise of the search


@dataclass(frozen=True)
class Mistake:
    """`loss`: how much of the mover's win rate the move `node` gave away; `better`: the engine's choice instead."""

    node: Node
    loss: float
    better: str


def node_value(node: Node) -> float | None:
    """The value for the player to move: the outcome of a finished game, else what the engine said, else None."""
    if node.ending:
        return -1.0
    if node.state.terminal:
        return float(node.state.outcome())
    return node.analysis.value if node.analysis else None


def curve(line: list[Node]) -> list[float | None]:
    """The first player's win rate at each node of a line."""
    values = [node_value(node) for node in line]
    return [None if v is None else win_rate(first_player_value(v, n.state.to_move))
            for v, n in zip(values, line, strict=True)]


def mistakes(line: list[Node], least: float = LEAST_LOSS) -> list[Mistake]:
    """The moves of a line that lost most, worst first."""
    found = []
    for before, after in zip(line, line[1:], strict=False):
        was, now = node_value(before), node_value(after)
        if was is None or now is None or before.analysis is None:
            continue
        mover_now = now if after.state.to_move == before.state.to_move else -now
        loss = win_rate(was) - win_rate(mover_now)
        if loss >= least and before.analysis.best not in (None, after.text):
            found.append(Mistake(after, loss, before.analysis.best))
    return sorted(found, key=lambda m: -m.loss)
