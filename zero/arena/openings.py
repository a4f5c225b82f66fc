"""Starting positions of a match: distinct, so that deterministic players do not repeat one game."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcts_ext.options import SearchOptions
from mcts_ext.search import Search
from mcts_ext.state import Game, State
from zero.errors import UserError

_ATTEMPTS = 200  # random tries for a new position before the openings grow by a ply
_GLANCE = 1000  # simulations of a search that knows the rules alone, to prove that an opening is won already


@dataclass(frozen=True)
class Opening:
    """Moves that both games of a pair begin with, and where they come from."""

    moves: tuple[int, ...]
    name: str


def canonical_key(state: State) -> bytes:
    """Equal for positions with the same stones and mover up to a symmetry of the board."""
    stones = state.stones().ravel()
    images = []
    for _, points in state.game.symmetries:
        image = np.empty_like(stones)
        image[points] = stones
        images.append(image.tobytes())
    return bytes([state.to_move]) + min(images or [stones.tobytes()])


def random_openings(game: Game, plies: int, seed: int) -> Iterator[Opening]:
    """Endless uniformly random openings of `plies` moves, no two alike up to symmetry, none over already, and none that
    a glance proves won for one side: whoever gets it wins, and it tells nothing of the players.

    A game with too few such positions gets longer ones; when even those run out, positions repeat.
    """
    rng = np.random.default_rng([seed, plies])
    prover = Search(game, 1, SearchOptions(solver=True))
    seen: set[bytes] = set()
    number, failures = 0, 0
    while True:
        state = game.new_state()
        moves = []
        while len(moves) < plies and not state.terminal:
            moves.append(int(rng.choice(state.legal_actions())))
            state.play(moves[-1])
        key = canonical_key(state)
        if state.terminal or key in seen or _is_won(state, prover):
            failures += 1
            if failures < _ATTEMPTS:
                continue
            failures = 0
            if plies + 1 < game.max_length // 2:
                plies += 1
            else:
                seen.clear()
            continue
        seen.add(key)
        failures = 0
        number += 1
        yield Opening(tuple(moves), f"random {number}")


def _is_won(state: State, prover: Search) -> bool:
    """Whether a glance proves it, for either side."""
    prover.reset(0, state)
    prover.start(0, _GLANCE, noise=False)
    prover.run("uniform")
    return prover.result(0).proven_value in (1, -1)


def file_openings(game: Game, path: Path) -> Iterator[Opening]:
    """The openings of an SGF collection (main lines) or a JSONL file (`{"moves": ["d4", ...]}` or `["d4", ...]`).

    Raises UserError naming the file and the line or game that cannot be used.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    listed = _sgf_openings(game, data, path) if path.suffix == ".sgf" else _jsonl_openings(game, data, path)
    found = False
    for where, moves in listed:
        state = game.new_state()
        for action in moves:
            state.play(action)
        if state.terminal:
            raise UserError(f"{path}: {where}: the game is over after this opening")
        yield Opening(tuple(moves), where)
        found = True
    if not found:
        raise UserError(f"{path}: there are no openings in it")


def _sgf_openings(game: Game, data: bytes, path: Path) -> Iterator[tuple[str, list[int]]]:
    from zero.protocols import game_sgf, sgf

    for number, root in enumerate(sgf.parse(data), 1):
        if game_sgf.game_name(root) != game.name:
            raise UserError(f"{path}: game {number} is {game_sgf.game_name(root)}, the match is {game.name}")
        start, actions = game_sgf.read_game(root, game)
        if start.hash() != game.new_state().hash():
            raise UserError(f"{path}: game {number} begins with set-up stones; an opening is a list of moves")
        yield f"game {number}", actions


def _jsonl_openings(game: Game, data: bytes, path: Path) -> Iterator[tuple[str, list[int]]]:
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            moves = value["moves"] if isinstance(value, dict) else value
            state = game.new_state()
            actions = [game.text_to_action(move) for move in moves]
            for action in actions:
                state.play(action)
        except (ValueError, KeyError, TypeError) as error:
            hint = f'{error}; write {{"moves": ["...", ...]}} with legal moves'
            raise UserError(f"{path}: line {number}: {hint}") from None
        yield f"line {number}", actions


def make_openings(text: str, game: Game, seed: int, pairs: int) -> list[Opening]:
    """`pairs` openings from `random:PLIES` or a file (taken round and round). Raises UserError."""
    kind, _, rest = text.partition(":")
    if kind == "random" and rest.isdigit():
        stream = random_openings(game, int(rest), seed)
        return [next(stream) for _ in range(pairs)]
    path = Path(text)
    if path.suffix in (".sgf", ".jsonl"):
        listed = list(file_openings(game, path))
        return [listed[k % len(listed)] for k in range(pairs)]
    raise UserError(f"openings '{text}': write random:4, or a file that ends in .sgf or .jsonl")
