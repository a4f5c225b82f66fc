"""GTP commands that show what the search thinks: Leela Zero's, KataGo's and Sabaki's (KataGo, docs/GTP_Extensions.md).

Win rates are those of the player to move. A report is one line; an analysis ends at any input, a `genmove_analyze`
with its move.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from zero.games import counts_points
from zero.protocols.gtp_play import parse_colour, parse_number
from zero.protocols.gtp_session import GtpError, Session
from zero.protocols.thinking import MoveThought, Thoughts, estimate_ownership, read_thoughts

if TYPE_CHECKING:
    from zero.protocols.gtp import Connection

_DEFAULT_INTERVAL = 1.0  # seconds
_MOST_VISITS = 1_000_000_000


class _Wish:
    """The arguments of an analysis: `[colour] [interval in 1/100 s] [name value ...]`, in KataGo's manner."""

    def __init__(self, session: Session, words: list[str]):
        self.colour, self.interval = session.state.to_move, _DEFAULT_INTERVAL
        self.options: dict[str, str] = {}
        words = list(words)
        if words and words[0].lower() in ("b", "w", "black", "white"):
            self.colour = parse_colour(words)
            words.pop(0)
        if words and words[0].replace(".", "", 1).isdigit():
            self.interval = parse_number(words, float, "interval") / 100
            words.pop(0)
        while words:
            name = words.pop(0)
            if name not in ("interval", "rootInfo", "ownership", "minmoves", "maxmoves"):
                raise GtpError(f"unknown option {name[:30]}")
            if not words:
                raise GtpError(f"missing value of {name}")
            self.options[name] = words.pop(0)
        if "interval" in self.options:
            self.interval = parse_number([self.options["interval"]], float, "interval") / 100
        self.interval = max(0.01, self.interval)

    def wants(self, name: str) -> bool:
        return self.options.get(name, "false").lower() == "true"

    def most_moves(self) -> int | None:
        return max(1, parse_number([self.options["maxmoves"]], int, "maxmoves")) if "maxmoves" in self.options else None


Report = Callable[[Session, Thoughts, _Wish], str]


def _win_rate(value: float) -> float:
    return (value + 1) / 2


def _shown(thoughts: Thoughts, wish: _Wish) -> list[MoveThought]:
    """Visited moves, or all while none is: a controller that waits for one must not wait for ever."""
    visited = [move for move in thoughts.moves if move.visits] or list(thoughts.moves[:1])
    return visited[: wish.most_moves()]


def _pv(session: Session, move: MoveThought) -> str:
    return " ".join(session.to_vertex(action) for action in move.pv)


def leela_report(session: Session, thoughts: Thoughts, wish: _Wish) -> str:
    """Integers in 1/100 %."""
    return " ".join(
        f"info move {session.to_vertex(move.action)} visits {move.visits} winrate {round(1e4 * _win_rate(move.value))} "
        f"prior {round(1e4 * move.prior)} lcb {round(1e4 * _win_rate(move.lcb))} order {order} pv {_pv(session, move)}"
        for order, move in enumerate(_shown(thoughts, wish)))


def kata_report(session: Session, thoughts: Thoughts, wish: _Wish) -> str:
    """Floats, always with a decimal point."""
    parts = [
        f"info move {session.to_vertex(move.action)} visits {move.visits} utility {move.value:.6f} "
        f"winrate {_win_rate(move.value):.6f} prior {move.prior:.6f} lcb {_win_rate(move.lcb):.6f} "
        f"utilityLcb {move.lcb:.6f} order {order} pv {_pv(session, move)}"
        for order, move in enumerate(_shown(thoughts, wish))]
    if wish.wants("rootInfo"):
        parts.append(f"rootInfo visits {thoughts.visits} utility {thoughts.value:.6f} "
                     f"winrate {_win_rate(thoughts.value):.6f} rawWinrate {_win_rate(thoughts.raw_value):.6f}")
    if wish.wants("ownership") and counts_points(session.game):
        owned = estimate_ownership(session.search.state(0), thoughts.moves[0].pv, playouts=32)
        parts.append("ownership " + " ".join(f"{value:.3f}" for value in owned.ravel()))
    return " ".join(parts)


def _analyse(report: Report) -> Callable:
    def command(connection: "Connection", words: list[str]) -> str:
        from zero.protocols.gtp import ANSWERED

        session, wish = connection.session, _Wish(connection.session, words)
        session.turn_to(wish.colour)
        connection.begin_answer()
        if session.search.state(0).terminal:
            connection.write("\n")
            return ANSWERED
        last = 0.0
        while not connection.input_waits():
            if read_visits(session) < _MOST_VISITS:
                session.search_for(None, min(0.1, wish.interval), connection.input_waits)
            if time.monotonic() - last >= wish.interval:
                last = time.monotonic()
                connection.write(report(session, read_thoughts(session.search, 0), wish) + "\n")
        connection.write("\n")
        return ANSWERED

    return command


def read_visits(session: Session) -> int:
    return int(session.search.result(0).visits.sum())


def _genmove_analyse(report: Report) -> Callable:
    def command(connection: "Connection", words: list[str]) -> str:
        from zero.protocols.gtp import ANSWERED

        session, wish = connection.session, _Wish(connection.session, words)
        connection.begin_answer()
        last = time.monotonic()

        def show() -> bool:
            nonlocal last
            if time.monotonic() - last >= wish.interval:
                last = time.monotonic()
                connection.write(report(session, read_thoughts(session.search, 0), wish) + "\n")
            return False

        thoughts = session.think(wish.colour, show)
        if thoughts is None:
            connection.write("play pass\n\n")
            return ANSWERED
        connection.write(report(session, thoughts, wish) + "\n")
        if connection.resign_below is not None and thoughts.visits and thoughts.value < connection.resign_below:
            connection.write("play resign\n\n")
            return ANSWERED
        action = session.choose()
        session.play(wish.colour, action)
        connection.write(f"play {session.to_vertex(action)}\n\n")
        return ANSWERED

    return command


def raw_network(connection: "Connection", words: list[str]) -> str:
    """The evaluator's answer without search: value and policy, row by row from the top, NAN where illegal."""
    session = connection.session
    session.need_points()
    session.search.reset(0, session.state, seed=len(session.moves))
    if session.state.terminal:
        raise GtpError("the game is over")
    session.search_for(0, None, lambda: True)
    thoughts = read_thoughts(session.search, 0)
    known = {move.action: move.prior for move in thoughts.moves}
    lines = ["symmetry 0", f"whiteWin {_win_rate(thoughts.raw_value * (-1 if session.state.to_move == 0 else 1)):.6f}",
             "policy"]
    for row in range(session.game.rows):
        points = range(row * session.game.cols, (row + 1) * session.game.cols)
        lines.append(" ".join(f"{known[point]:.6f}" if point in known else "NAN" for point in points))
    lines += [f"policyPass {known[action]:.6f}" for action in known if session.to_vertex(action) == "pass"]
    return "\n".join(lines)


def get_param(connection: "Connection", words: list[str]) -> str:
    if words != ["maxVisits"]:
        raise GtpError("unknown parameter: maxVisits is known")
    return str(connection.session.sims)


def set_param(connection: "Connection", words: list[str]) -> str:
    if words[:1] != ["maxVisits"]:
        raise GtpError("unknown parameter: maxVisits is known")
    connection.session.sims = max(1, parse_number(words, int, "maxVisits", 1))
    return ""


COMMANDS = {
    "lz-analyze": _analyse(leela_report), "lz-genmove_analyze": _genmove_analyse(leela_report),
    "kata-analyze": _analyse(kata_report), "kata-genmove_analyze": _genmove_analyse(kata_report),
    "analyze": _analyse(kata_report), "genmove_analyze": _genmove_analyse(kata_report),
    "kata-raw-nn": raw_network, "kata-get-param": get_param, "kata-set-param": set_param,
    "kata-list-params": lambda connection, words: "maxVisits",
}
