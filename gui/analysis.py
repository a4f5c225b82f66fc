"""What an engine says about a position, as the window keeps it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Candidate:
    """A move the engine looked at. `value`: seen by the player to move."""

    move: str
    visits: int = 0
    prior: float = 0.0
    value: float = 0.0
    pv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """`value` and the candidates' values are seen by the player to move at the position.

    `policy`: move to probability, the raw network's (empty if not given). `ownership`: row by row from the top, +1 the
    player to move owns the point, -1 the other does (empty if not given).
    """

    value: float = 0.0
    visits: int = 0
    done: bool = False
    best: str | None = None
    moves: tuple[Candidate, ...] = ()
    policy: dict[str, float] = field(default_factory=dict)
    ownership: tuple[float, ...] = ()


def from_answer(answer: dict) -> Analysis:
    """Reads an answer of the analysis protocol. Raises ValueError if its parts have wrong types."""
    try:
        moves = tuple(
            Candidate(str(m["move"]), int(m.get("visits") or 0), float(m.get("prior") or 0.0),
                      float(m.get("value") or 0.0), tuple(str(x) for x in m.get("pv") or ()))
            for m in answer.get("moves") or ())
        return Analysis(
            value=float(answer.get("value") or 0.0), visits=int(answer.get("visits") or 0),
            done=bool(answer.get("done")), best=answer.get("best"),
            moves=tuple(sorted(moves, key=lambda m: -m.visits)),
            policy={str(k): float(v) for k, v in (answer.get("policy") or {}).items()},
            ownership=tuple(float(x) for x in answer.get("ownership") or ()))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not an analysis: {error!r}") from None


def first_player_value(value: float, to_move: int) -> float:
    """From the view of the player to move to the view of the first player (or back): the one place where it turns."""
    return value if to_move == 0 else -value


def win_rate(value: float) -> float:
    """A value in [-1, 1] as the share of wins, a draw counting half."""
    return (1 + max(-1.0, min(1.0, value))) / 2
