"""GTP commands of play: set-up, moves, clocks, handicap, the end of the game, files."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zero.errors import UserError
from zero.protocols import game_sgf, sgf
from zero.protocols.gtp_session import GtpError, Move, Session, TimeSettings, is_go
from zero.protocols.thinking import estimate_ownership

if TYPE_CHECKING:
    from zero.protocols.gtp import Connection

_BIG_SIZE = 25  # the largest board GTP vertices can name


def parse_colour(words: list[str], at: int = 0) -> int:
    """0 for Black, 1 for White. Raises GtpError("invalid color or coordinate")."""
    colour = {"b": 0, "black": 0, "w": 1, "white": 1}.get(words[at].lower() if len(words) > at else "")
    if colour is None:
        raise GtpError("invalid color or coordinate")
    return colour


def parse_number(words: list[str], kind: type, what: str, at: int = 0):
    """Raises GtpError naming what is missing."""
    try:
        number = kind(words[at])
        if not -1e9 < number < 1e9:
            raise ValueError
        return number
    except (IndexError, ValueError, OverflowError):
        raise GtpError(f"{what} not {'an integer' if kind is int else 'a float'}") from None


# set-up


def boardsize(connection: "Connection", words: list[str]) -> str:
    """An oblong board of a game that has no square ones is known by its longer side."""
    game, size = connection.session.game, parse_number(words, int, "boardsize")
    if game.rows != game.cols and size == max(game.rows, game.cols) and not is_go(connection.session):
        return _resize(connection, game.rows, game.cols)
    return _resize(connection, size, size)


def rectangular_boardsize(connection: "Connection", words: list[str]) -> str:
    """KataGo's: columns, then rows."""
    cols, rows = (parse_number(words, int, "boardsize", at) for at in (0, 1))
    return _resize(connection, rows, cols)


def _resize(connection: "Connection", rows: int, cols: int) -> str:
    if not 1 < min(rows, cols) <= max(rows, cols) <= _BIG_SIZE:
        raise GtpError("unacceptable size")
    try:
        connection.session.resize(rows, cols)
    except UserError:
        raise GtpError("unacceptable size") from None
    return ""


def clear_board(connection: "Connection", words: list[str]) -> str:
    connection.session.clear()
    connection.session.reset_clocks()
    return ""


def komi(connection: "Connection", words: list[str]) -> str:
    value = parse_number(words, float, "komi")
    if is_go(connection.session):
        connection.session.configure(komi=value)
    return ""


def get_komi(connection: "Connection", words: list[str]) -> str:
    return f"{getattr(connection.session.game, 'komi', 0):g}"


_RULES = {"chinese": "chinese", "chinese-kgs": "chinese", "tromp-taylor": "tromp-taylor"}


def set_rules(connection: "Connection", words: list[str]) -> str:
    text = " ".join(words).strip().lower()
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("rules", "")).lower()
        except ValueError:
            raise GtpError("unsupported rules") from None
    if not is_go(connection.session) or text not in _RULES:
        raise GtpError("unsupported rules: chinese or tromp-taylor")
    connection.session.configure(rules=_RULES[text])
    return ""


def get_rules(connection: "Connection", words: list[str]) -> str:
    rules = connection.session.rules
    chosen = rules.get("rules", "chinese")
    return json.dumps({"rules": chosen, "ko": rules.get("ko", "positional").upper(), "scoring": "AREA",
                       "suicide": rules.get("suicide", chosen == "tromp-taylor"),
                       "tax": "NONE", "whiteHandicapBonus": "N" if chosen == "chinese" else "0"})


# clocks


def time_settings(connection: "Connection", words: list[str]) -> str:
    main, period = (parse_number(words, float, "time", k) for k in (0, 1))
    stones = parse_number(words, int, "stones", 2)
    if min(main, period, stones) < 0:
        raise GtpError("time not positive")
    # "0 b 0" with b > 0 means no time limit (section 4.2 of the protocol).
    unlimited = stones == 0 and period > 0
    connection.session.set_time(None if unlimited else TimeSettings(main, period, stones))
    return ""


def kgs_time_settings(connection: "Connection", words: list[str]) -> str:
    kind = words[0].lower() if words else ""
    numbers = [parse_number(words, float, "time", k) for k in range(1, len(words))]
    if kind == "none":
        connection.session.set_time(None)
    elif kind == "absolute" and len(numbers) >= 1:
        connection.session.set_time(TimeSettings(numbers[0]))
    elif kind == "canadian" and len(numbers) >= 3:
        connection.session.set_time(TimeSettings(numbers[0], numbers[1], int(numbers[2])))
    elif kind == "byoyomi" and len(numbers) >= 3:  # a period is one move's time that comes back
        connection.session.set_time(TimeSettings(numbers[0], numbers[1], 1))
    elif kind == "fischer" and len(numbers) >= 2:
        connection.session.set_time(TimeSettings(numbers[0], increment=numbers[1]))
    else:
        raise GtpError("unknown time system: none, absolute, canadian, byoyomi or fischer")
    return ""


def time_left(connection: "Connection", words: list[str]) -> str:
    colour = parse_colour(words)
    left, stones = parse_number(words, float, "time", 1), parse_number(words, int, "stones", 2)
    connection.session.clocks[colour] = (max(0.0, left), max(0, stones))
    return ""


# moves


def play(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    colour = parse_colour(words)
    action = session.to_action(words[1] if len(words) > 1 else "")
    session.play(colour, action)
    return ""


def genmove(connection: "Connection", words: list[str]) -> str:
    action = think_of_move(connection, parse_colour(words))
    if isinstance(action, int):
        connection.session.play(parse_colour(words), action)
        return connection.session.to_vertex(action)
    return action


def reg_genmove(connection: "Connection", words: list[str]) -> str:
    action = think_of_move(connection, parse_colour(words))
    return connection.session.to_vertex(action) if isinstance(action, int) else action


def think_of_move(connection: "Connection", colour: int) -> int | str:
    """An action, or "resign"; "pass" when the game has nothing to play any more."""
    session = connection.session
    thoughts = session.think(colour)
    if thoughts is None:
        return "pass"
    if connection.resign_below is not None and thoughts.visits and thoughts.value < connection.resign_below:
        return "resign"
    return session.choose()


def undo(connection: "Connection", words: list[str]) -> str:
    connection.session.undo()
    return ""


def gg_undo(connection: "Connection", words: list[str]) -> str:
    connection.session.undo(parse_number(words, int, "count") if words else 1)
    return ""


def showboard(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    mover = ("Black (X)", "White (O)")[session.state.to_move]
    return f"\n{session.state}\n{mover} to move, {len(session.moves)} moves played"


def move_history(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    return "\n".join(f"{('black', 'white')[move.colour]} {session.to_vertex(move.action)}"
                     for move in reversed(session.moves))


def all_legal(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    colour = parse_colour(words) if words else session.state.to_move
    session.turn_to(colour)
    return " ".join(session.to_vertex(action) for action in session.search.state(0).legal_actions())


def cputime(connection: "Connection", words: list[str]) -> str:
    return f"{time.process_time():.3f}"


# handicap


def _empty_go(session: Session) -> None:
    if not is_go(session):
        raise GtpError(f"{session.game.name} has no handicap stones")
    if session.moves or session.black or session.white:
        raise GtpError("board not empty")


def fixed_handicap(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    _empty_go(session)
    count = parse_number(words, int, "number of stones")
    try:
        points = session.game.handicap_points(count)
    except ValueError:
        raise GtpError("invalid number of stones") from None
    session.set_up(tuple(points), (), ())
    return " ".join(session.to_vertex(point) for point in points)


def place_free_handicap(connection: "Connection", words: list[str]) -> str:
    """The fixed points, as many as there are."""
    session = connection.session
    _empty_go(session)
    count = parse_number(words, int, "number of stones")
    if count < 2:
        raise GtpError("invalid number of stones")
    for fewer in range(min(count, 9), 1, -1):
        try:
            return fixed_handicap(connection, [str(fewer)])
        except GtpError:
            continue
    raise GtpError("invalid number of stones")


def set_free_handicap(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    _empty_go(session)
    points = [session.to_action(word) for word in words]
    if len(points) < 2 or len(set(points)) != len(points) or max(points) >= session.cells:
        raise GtpError("bad vertex list")
    session.set_up(tuple(points), (), ())
    return ""


# the end


def final_score(connection: "Connection", words: list[str]) -> str:
    """As it stands once the game is over, else with the stones removed that random games nearly always lose."""
    session = connection.session
    margin = _margin(session)
    return "0" if margin == 0 else f"{'B' if margin > 0 else 'W'}+{abs(margin):g}"


def _margin(session: Session) -> float:
    """Black's."""
    state = session.state
    if not state.terminal:
        if not is_go(session):
            raise GtpError("cannot score: the game is not over")
        dead = set(_dead_stones(session))
        stones = state.stones().ravel()
        sides = [[k for k in range(session.cells) if stones[k] == side and k not in dead] for side in (1, 2)]
        state = session.game.position(*sides, 0)
        for _ in range(2):
            state.play(session.cells)
    try:
        score = state.score()
    except ValueError:
        score = state.outcome()  # games that count no points
    return score if state.to_move == 0 else -score


def _dead_stones(session: Session) -> list[int]:
    """Stones that the other colour owns at the end of most random games; a chain lives or dies as a whole."""
    if session.state.terminal:
        return []
    owned = estimate_ownership(session.state, playouts=256) * (1 if session.state.to_move == 0 else -1)
    stones = session.state.stones()
    dead = []
    for chain in _chains(stones):
        rows, cols = zip(*chain, strict=True)
        colour = 1 if stones[chain[0]] == 1 else -1
        if colour * float(np.mean(owned[list(rows), list(cols)])) < -0.4:
            dead += [row * session.game.cols + col for row, col in chain]
    return dead


def _chains(stones: np.ndarray) -> list[list[tuple[int, int]]]:
    seen = np.zeros(stones.shape, bool)
    chains = []
    for start in zip(*np.nonzero(stones), strict=True):
        if seen[start]:
            continue
        seen[start] = True
        chain, at = [start], 0
        while at < len(chain):
            row, col = chain[at]
            at += 1
            for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                inside = 0 <= near[0] < stones.shape[0] and 0 <= near[1] < stones.shape[1]
                if inside and not seen[near] and stones[near] == stones[start]:
                    seen[near] = True
                    chain.append(near)
        chains.append([(int(row), int(col)) for row, col in chain])
    return chains


def final_status_list(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    status = words[0] if words else ""
    if status not in ("alive", "dead", "seki"):
        raise GtpError("invalid status: alive, dead or seki")
    session.need_points()
    dead = set(_dead_stones(session)) if is_go(session) else set()
    stones = np.flatnonzero(session.state.stones().ravel())
    chosen = [k for k in stones if status != "seki" and (k in dead) == (status == "dead")]
    return "\n".join(session.to_vertex(int(k)) for k in chosen)


# files


def loadsgf(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    if not words:
        raise GtpError("cannot load file: missing its name")
    try:
        root = sgf.parse(Path(words[0]).read_bytes())[0]
        name = game_sgf.game_name(root)
        if session.trained_for not in (None, name):
            raise UserError(f"the player plays {session.trained_for}, the file is {name}")
        session.change_game(name)
        if root.properties.get("KM") and is_go(session):
            session.configure(komi=root.number("KM"))
        start, actions = game_sgf.read_game(root, session.game)
    except (OSError, UserError) as error:
        raise GtpError(f"cannot load file: {' '.join(str(error).split())}") from None
    if len(words) > 1:  # the position before that move
        actions = actions[: max(0, parse_number(words, int, "move number", 1) - 1)]
    moves, state = [], start.copy()
    for action in actions:
        moves.append(Move(state.to_move, action))
        state.play(action)
    stones = start.stones().ravel()
    black, white = (tuple(int(k) for k in np.flatnonzero(stones == side)) for side in (1, 2))
    if start.hash() == session.game.new_state().hash():
        black = white = ()
    session.set_up(black, white, moves)
    return ("black", "white")[session.state.to_move]


def printsgf(connection: "Connection", words: list[str]) -> str:
    session = connection.session
    if not game_sgf.has_sgf(session.game):
        raise GtpError(f"SGF does not know {session.game.name}")
    root = game_sgf.game_tree(session.game, [])
    for name, side in (("AB", session.black), ("AW", session.white)):
        if side:
            root.properties[name] = [game_sgf.move_to_sgf(session.game, point) for point in side]
    node = root
    for move in session.moves:
        node = node.add(**{"BW"[move.colour]: game_sgf.move_to_sgf(session.game, move.action)})
    text = sgf.serialise(root)
    if not words:
        return "".join(line for line in text.splitlines(keepends=True) if line.strip()).strip()
    try:
        Path(words[0]).write_text(text, encoding="utf-8")
    except OSError as error:
        raise GtpError(f"cannot write file: {error.strerror}") from None
    return ""


COMMANDS = {
    "boardsize": boardsize, "rectangular_boardsize": rectangular_boardsize, "clear_board": clear_board,
    "komi": komi, "get_komi": get_komi,
    "kata-set-rules": set_rules, "kata-get-rules": get_rules, "kgs-rules": set_rules,
    "time_settings": time_settings, "kgs-time_settings": kgs_time_settings, "kata-time_settings": kgs_time_settings,
    "time_left": time_left, "play": play, "genmove": genmove, "reg_genmove": reg_genmove, "undo": undo,
    "gg-undo": gg_undo, "showboard": showboard, "move_history": move_history, "all_legal": all_legal,
    "cputime": cputime, "fixed_handicap": fixed_handicap, "place_free_handicap": place_free_handicap,
    "set_free_handicap": set_free_handicap, "final_score": final_score, "final_status_list": final_status_list,
    "loadsgf": loadsgf, "printsgf": printsgf,
}
