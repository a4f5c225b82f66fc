"""Our games as SGF trees: Go, Othello, Gomoku and Hex, the ones FF[4] has a number and a notation for."""

from collections.abc import Sequence

from mcts_ext.games import family
from mcts_ext.notation import cell_name, gtp_vertex, parse_cell, parse_gtp_vertex
from mcts_ext.state import Game, State
from zero.errors import UserError
from zero.protocols.sgf import GAME_NUMBERS, Node, new_root, point_to_sgf, sgf_to_point

_NUMBERS = {family: number for number, family in GAME_NUMBERS.items()}


def has_sgf(game: Game) -> bool:
    return family(game.name) in _NUMBERS


def move_to_sgf(game: Game, action: int) -> str:
    """An action as an SGF move value; a pass is empty, Hex keeps its own notation."""
    text = game.action_to_text(action)
    kind = family(game.name)
    if text.lower() == "pass":
        return ""
    if kind == "hex":
        return text
    return point_to_sgf(*text_to_point(game, text))


def text_to_point(game: Game, text: str) -> tuple[int, int]:
    """`(row, col)` from the top left of a vertex as the game writes it. Raises ValueError when it is none."""
    parse = parse_gtp_vertex if game.geometry == "points" else parse_cell
    point = parse(text, game.rows, game.cols)
    if point is None:
        raise ValueError(f"'{text[:20]}' is no point of the board")
    return divmod(point, game.cols)


def point_to_text(game: Game, row: int, col: int) -> str:
    """The inverse of `text_to_point`, in the game's own upper or lower case. Raises ValueError off the board."""
    if not (row < game.rows and col < game.cols):
        raise ValueError(f"row {row + 1}, column {col + 1} is not on the board")
    point = row * game.cols + col
    return gtp_vertex(point, game.rows, game.cols) if game.geometry == "points" else cell_name(point, game.cols)


def sgf_to_move(game: Game, value: str) -> str:
    """An SGF move value as the game writes moves. Raises ValueError when it is none."""
    value = value.strip()
    if family(game.name) == "hex":
        return value.lower()
    if value == "" or (value == "tt" and game.rows <= 19):
        return "pass"
    try:
        row, col = sgf_to_point(value)
    except ValueError:
        return point_to_text(game, *text_to_point(game, value))  # some programs write Othello moves as "d3"
    return point_to_text(game, row, col)


def read_game(root: Node, game: Game) -> tuple[State, list[int]]:
    """The main line as `(start, actions)`, the start with the root's set-up stones (AB, AW, PL).

    Passes that the file leaves out are put in: forced ones in Othello, and in Go where a colour moves twice.
    Raises UserError naming the move that cannot be read or played.
    """
    start = _start(root, game)
    state, actions = start.copy(), []
    moves = filter(None, (node.move() for node in root.main_line()))
    for number, (colour, value) in enumerate(moves, 1):
        try:
            passing = ["pass"] if "BW"[state.to_move] != colour else []
            for text in [*passing, sgf_to_move(game, value)]:
                actions.append(game.text_to_action(text))
                state.play(actions[-1])
        except ValueError as error:
            raise UserError(f"SGF: move {number}, {colour}[{value[:20]}]: {error}") from None
    return start, actions


def _start(root: Node, game: Game) -> State:
    black, white = root.points("AB"), root.points("AW")
    if not black and not white:
        return game.new_state()
    try:
        sides = [[game.text_to_action(sgf_to_move(game, point)) for point in side] for side in (black, white)]
    except ValueError as error:
        raise UserError(f"SGF: set-up stones: {error}") from None
    named = {"B": 0, "W": 1}.get(root.text("PL")[:1].upper())
    state = set_up(game, *sides, to_move=named if named is not None else 0 if white else 1)
    return state


def set_up(game: Game, black: Sequence[int], white: Sequence[int], to_move: int) -> State:
    """A position with these stones (actions). Raises UserError where the game knows none or it breaks the rules."""
    stones = game.new_state().stones().ravel()
    if {action: 1 for action in black} | {action: 2 for action in white} == {k: v for k, v in enumerate(stones) if v}:
        return game.new_state()  # Othello files often spell out the start position
    if not hasattr(game, "position"):
        raise UserError(f"positions of {game.name} cannot be set up stone by stone; give the moves")
    try:
        return game.position(black, white, to_move)
    except ValueError as error:
        raise UserError(f"set-up stones: {error}") from None


def game_name(root: Node) -> str:
    """Which of our games a tree holds, such as `go9`. Raises UserError for games we do not have."""
    kind = GAME_NUMBERS.get(int(root.number("GM", 1)))
    if kind is None:
        raise UserError(f"SGF: GM[{root.text('GM')[:9]}] is a game we do not play; known: "
                        + ", ".join(f"{number} {name}" for number, name in GAME_NUMBERS.items()))
    cols, rows = root.board_size()
    return f"{kind}{rows}" if rows == cols else f"{kind}{rows}x{cols}"


def game_tree(game: Game, actions: Sequence[int], comments: Sequence[str] = (), **texts: str) -> Node:
    """A game as a tree with one line; `texts` are root properties such as PB, PW, RE, KM.

    The colour of a move is the side that was to move. Go gets its komi and handicap stones.
    """
    komi = {"KM": f"{game.komi:g}"} if hasattr(game, "komi") else {}
    root = new_root(_NUMBERS[family(game.name)], game.cols, game.rows, **komi | texts)
    if handicap := game.settings.get("handicap"):
        root.properties |= {"HA": [str(handicap)],
                            "AB": [move_to_sgf(game, action) for action in game.handicap_points(handicap)]}
    state, node = game.new_state(), root
    for number, action in enumerate(actions):
        node = node.add(**{"BW"[state.to_move]: move_to_sgf(game, action)})
        if number < len(comments) and comments[number]:
            node.set_text("C", comments[number])
        state.play(action)
    return root
