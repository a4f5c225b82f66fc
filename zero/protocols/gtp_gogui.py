"""GTP commands of GoGui (its manual: "Analyze Commands", "Rules Commands") and of gomill.

With the rules commands GoGui shows games that are not Go. Its board has row 1 at the bottom, so ours is written from
the highest row number down.
"""

from typing import TYPE_CHECKING

from mcts_ext.games import family
from zero.protocols.gtp_analysis import read_visits
from zero.protocols.gtp_play import final_score, parse_colour
from zero.protocols.gtp_session import GtpError, Move, is_go
from zero.protocols.thinking import read_thoughts

if TYPE_CHECKING:
    from zero.protocols.gtp import Connection


def analyze_commands(connection: "Connection", words: list[str]) -> str:
    return "\n".join((
        "gfx/Zero Policy/zero-policy",
        "gfx/Zero Visits/zero-visits",
        "string/Zero Search/gomill-explain_last_move",
        "string/Final Score/final_score",
        "plist/Dead Stones/final_status_list dead",
        "none/Rules/kata-set-rules %s",
    ))


def interrupt(connection: "Connection", words: list[str]) -> str:
    """Known so that GoGui sends its interrupt comments."""
    return ""


def play_sequence(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    if len(words) % 2:
        raise GtpError("a colour without a vertex")
    moves = [Move(parse_colour(words, k), session.to_action(words[k + 1])) for k in range(0, len(words), 2)]
    session.set_up(session.black, session.white, [*session.moves, *moves])
    return ""


def policy(connection: "Connection", words: list[str]) -> str:
    """The evaluator's priors as an influence map."""
    session = connection.session
    session.need_points()
    session.turn_to(session.state.to_move)
    if session.search.state(0).terminal:
        return ""
    session.search_for(0, None, lambda: True)
    moves = read_thoughts(session.search, 0).moves
    most = max(move.prior for move in moves)
    return "INFLUENCE " + " ".join(f"{session.to_vertex(move.action)} {move.prior / most:.3f}" for move in moves
                                   if move.action < session.cells)


def visits(connection: "Connection", words: list[str]) -> str:
    """Visit counts of the present search as labels."""
    session = connection.session
    session.need_points()
    moves = [move for move in read_thoughts(session.search, 0).moves if move.visits and move.action < session.cells]
    return "LABEL " + " ".join(f"{session.to_vertex(move.action)} {move.visits}" for move in moves)


def game_id(connection: "Connection", words: list[str]) -> str:
    """A word for GoGui: letters, the first one a capital."""
    return family(connection.session.game.name).rstrip("0123456789").capitalize()


def board(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    stones = session.state.stones()
    rows = stones if session.game.geometry == "points" else stones[::-1]
    return "\n" + "\n".join(" ".join(".XO"[stone] for stone in row) for row in rows)


def legal_moves(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    return " ".join(session.to_vertex(action) for action in session.state.legal_actions())


def captured_count(connection: "Connection", words: list[str]) -> str:
    """Stones that Black has captured, and White: those put on the board that are there no more."""
    session = connection.session
    if not is_go(session):
        return "0 0"
    played = [len(session.black), len(session.white)]
    for move in session.moves:
        played[move.colour] += move.action < session.cells
    stones = session.state.stones()
    return f"{played[1] - int((stones == 2).sum())} {played[0] - int((stones == 1).sum())}"


def final_result(connection: "Connection", words: list[str]) -> str:
    return final_score(connection, words) if connection.session.state.terminal else ""


def explain_last_move(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    if not read_visits(session):
        return "nothing was searched here"
    thoughts = read_thoughts(session.search, 0)
    line = " ".join(session.to_vertex(action) for action in thoughts.moves[0].pv)
    return f"{thoughts.visits} visits, win rate {50 * (thoughts.value + 1):.1f} %, expects {line}"


def describe_engine(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    return f"Zero: {session.player}, {session.sims} simulations a move"


COMMANDS = {
    "gogui-analyze_commands": analyze_commands, "gogui-interrupt": interrupt, "gogui-play_sequence": play_sequence,
    "gogui-rules_game_id": game_id, "gogui-rules_board": board, "gogui-rules_legal_moves": legal_moves,
    "gogui-rules_board_size": lambda connection, words: str(connection.session.game.rows),
    "gogui-rules_side_to_move": lambda connection, words: ("black", "white")[connection.session.state.to_move],
    "gogui-rules_captured_count": captured_count, "gogui-rules_final_result": final_result,
    "zero-policy": policy, "zero-visits": visits,
    "gomill-explain_last_move": explain_last_move, "gomill-describe_engine": describe_engine,
}
