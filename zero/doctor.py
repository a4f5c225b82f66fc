"""Checks of a game, a network and the installation that learning curves do not show.

Wrong signs and perspectives are the commonest and deadliest faults of self-play programs, so every registered game
is compared with definitions that do not come from its own code: exhaustive minimax, symmetric play, random play.
Training refuses to start on a game that fails.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import nn
from mcts_ext.options import SearchOptions
from mcts_ext.search import Search
from mcts_ext.state import Game, State
from zero.games import make_game

MINIMAX_NODES = 4_000  # positions with a larger game tree are left out
SEARCH_SIMS = 2_000


class Fault(Exception):
    """A check failed; the message holds the board where it was seen."""

    def __init__(self, text: str, state: State | None = None):
        super().__init__(text if state is None else f"{text}, at this position:\n{state}")


@dataclass(frozen=True)
class Check:
    """The outcome of one check; `fault` is None if it passed."""

    name: str
    fault: str | None = None


def random_games(game: Game, count: int, rng: np.random.Generator) -> Iterator[list[State]]:
    """All positions of `count` uniformly random games, the terminal one last. Raises `Fault` if one does not end."""
    for _ in range(count):
        state = game.new_state()
        states = [state.copy()]
        while not state.terminal:
            if len(states) > game.max_length:
                raise Fault(f"a game is longer than max_length = {game.max_length}", state)
            actions = state.legal_actions()
            if not actions:
                raise Fault("not terminal, yet without a legal action", state)
            state.play(int(rng.choice(actions)))
            states.append(state.copy())
        yield states


def check_masks(game: Game, rng: np.random.Generator) -> None:
    """`play` accepts exactly what `legal` marks; nothing is legal at the end."""
    for states in random_games(game, 3, rng):
        for state in states:
            mask = state.legal()
            if state.terminal and mask.any():
                raise Fault("terminal, yet actions are legal", state)
            for action in rng.permutation(game.num_actions)[:32]:
                try:
                    state.copy().play(int(action))
                    accepted = True
                except ValueError:
                    accepted = False
                if accepted != bool(mask[action]):
                    word = "accepts" if accepted else "refuses"
                    raise Fault(f"legal() marks action {action} as {mask[action]}, but play() {word} it", state)


def check_values(game: Game, rng: np.random.Generator) -> None:
    """Outcomes are +1, 0 or -1, belong to terminal positions alone, and change sign with the player."""
    for states in random_games(game, 20, rng):
        final = states[-1]
        if final.outcome() not in (-1, 0, 1):
            raise Fault(f"outcome {final.outcome()} is not +1, 0 or -1", final)
        for state in states[:-1]:
            try:
                state.outcome()
            except ValueError:
                continue
            raise Fault("a position that is not terminal has an outcome", state)


def check_planes(game: Game, rng: np.random.Generator) -> None:
    """The first plane holds the mover's stones; encoding is finite and the same twice."""
    for states in random_games(game, 3, rng):
        for state in states:
            planes = state.encode()
            if not np.isfinite(planes).all():
                raise Fault("planes that are not finite", state)
            if not np.array_equal(planes, state.copy().encode()):
                raise Fault("a copy has other planes", state)
            own = state.stones() == state.to_move + 1
            if not np.array_equal(planes[..., 0], own):
                raise Fault("the first plane is not the mover's stones", state)


def check_symmetries(game: Game, rng: np.random.Generator) -> None:
    """Play mapped by a symmetry leads to the mapped position: board, planes, mask and result."""
    identity = np.arange(game.num_actions)
    if not np.array_equal(game.symmetries[0][0], identity):
        raise Fault("the first symmetry is not the identity")
    for states in random_games(game, 2, rng):
        moves = moves_of(states)
        for number, (actions, points) in enumerate(game.symmetries):
            mirror = game.new_state()
            for ply, state in enumerate(states):
                where = f"symmetry {number}"
                mapped = np.empty_like(state.legal())
                mapped[actions] = state.legal()
                if not np.array_equal(mapped, mirror.legal()):
                    raise Fault(f"{where}: legal actions do not map", mirror)
                flat = state.encode().reshape(-1, game.planes)
                planes = np.empty_like(flat)
                planes[points] = flat
                if not np.array_equal(planes, mirror.encode().reshape(-1, game.planes)):
                    raise Fault(f"{where}: planes do not map", mirror)
                if ply < len(moves):
                    mirror.play(int(actions[moves[ply]]))
            if mirror.outcome() != states[-1].outcome():
                raise Fault(f"symmetry {number}: the result changes", mirror)


def moves_of(states: list[State]) -> list[int]:
    """The moves between consecutive positions of a game, found by trying."""
    moves = []
    for before, after in zip(states, states[1:], strict=False):
        for action in before.legal_actions():
            tried = before.copy()
            tried.play(action)
            if tried.hash() == after.hash() and np.array_equal(tried.stones(), after.stones()):
                moves.append(action)
                break
        else:
            raise Fault("no action leads to the position that followed", before)
    return moves


def check_notation(game: Game, rng: np.random.Generator) -> None:
    """Every action has a text of its own that reads back."""
    texts = [game.action_to_text(action) for action in range(game.num_actions)]
    if len(set(texts)) != len(texts):
        raise Fault("two actions share a text")
    for action, text in enumerate(texts):
        if game.text_to_action(text) != action:
            raise Fault(f"'{text}' reads back as action {game.text_to_action(text)}, not {action}")


class TooLarge(Exception):
    """The game tree exceeds what minimax may look at."""


def minimax(state: State, budget: list[int]) -> float:
    """The exact value for the player to move: plain exhaustive negamax. Raises `TooLarge`."""
    if state.terminal:
        return state.outcome()
    best = -1.0
    for action in state.legal_actions():
        budget[0] -= 1
        if budget[0] < 0:
            raise TooLarge
        after = state.copy()
        after.play(action)
        value = minimax(after, budget)
        best = max(best, -value if after.to_move != state.to_move else value)
    return best


def check_search(game: Game, rng: np.random.Generator) -> None:
    """The search's move keeps the value that exhaustive minimax finds, in late positions of random games."""
    search = Search(game, 1, SearchOptions(root="puct"), seed=1)
    tried = 0
    for states in random_games(game, 12, rng):
        for state in reversed(states[:-1]):
            try:
                value = minimax(state, [MINIMAX_NODES])
            except TooLarge:
                break
            search.reset(0, state)
            search.start(0, SEARCH_SIMS, noise=False)
            search.run("uniform")
            after = state.copy()
            best = search.result(0).best
            after.play(best)
            kept = minimax(after, [MINIMAX_NODES])
            kept = -kept if after.to_move != state.to_move else kept
            tried += 1
            if kept != value:
                move = game.action_to_text(best)
                raise Fault(f"minimax says {value:+.0f}, the search plays {move} for {kept:+.0f}", state)
    if tried == 0:
        raise Fault(f"no position of {game.name} was small enough to compare the search with minimax")


GAME_CHECKS: dict[str, Callable[[Game, np.random.Generator], None]] = {
    "legal masks": check_masks,
    "terminal values": check_values,
    "planes": check_planes,
    "symmetries": check_symmetries,
    "notation": check_notation,
    "search against minimax": check_search,
}


def examine(game: Game, seed: int = 0) -> Iterator[Check]:
    """Runs every check of a game."""
    for name, check in GAME_CHECKS.items():
        try:
            check(game, np.random.default_rng(seed))
        except Fault as fault:
            yield Check(name, str(fault))
        else:
            yield Check(name)


def attempt(name: str, check: Callable[[], str | None]) -> Check:
    """Runs a check that returns its fault, or raises one."""
    try:
        return Check(name, check())
    except Exception as error:  # a check that breaks is a finding, not the end of the examination
        return Check(name, f"{type(error).__name__}: {error}")


def installation() -> Iterator[Check]:
    """Is what the program stands on there and sound?"""
    yield attempt("tensor kernels against numpy", check_kernels)
    yield attempt("one pygame", check_pygame)
    yield attempt("room on the disk", check_disk)


def check_kernels() -> str | None:
    """The compiled convolution agrees with its definition in numpy."""
    from nn import cpu, reference

    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 6, 7, 16)).astype(np.float32)
    w = rng.standard_normal((3, 3, 16, 32)).astype(np.float32)
    fast, exact = cpu.conv2d(x, w), reference.conv2d(x.astype(np.float64), w.astype(np.float64))
    error = float(np.abs(fast - exact).max() / np.abs(exact).max())
    return None if error < 1e-5 else f"a convolution is off by {error:.1e}"


def check_pygame() -> str | None:
    """pygame and pygame-ce share their files and spoil each other."""
    from zero.bench.common import package_version

    if package_version("pygame") and package_version("pygame-ce"):
        return "pygame and pygame-ce are both installed: pip uninstall pygame pygame-ce; pip install pygame-ce"
    return None if package_version("pygame-ce") else "pygame-ce is missing: pip install pygame-ce"


def check_disk() -> str | None:
    free = shutil.disk_usage(".").free
    return None if free > 1 << 30 else f"only {free >> 20} MB are free here; a run needs about 1 GB"


def examine_network(path: Path) -> Iterator[Check]:
    """Checks of a network file: what the search is told is what the network says, whoever sits beside it."""
    from zero.evaluator import NetworkEvaluator
    from zero.network import load_network, read_about

    game = make_game(read_about(path)["game"])
    network = load_network(path, game)
    evaluator = NetworkEvaluator(network, game)
    states = [s for states in random_games(game, 2, np.random.default_rng(0)) for s in states[:-1]]
    planes = np.stack([s.encode() for s in states])
    legal = np.stack([s.legal() for s in states])

    def compiled() -> str | None:
        logits, values = evaluator(planes, legal)
        with nn.no_grad():
            slow_logits, slow_values = network(nn.Tensor(planes))
        off = max(np.abs(logits - slow_logits.numpy()).max(), np.abs(values - slow_values.numpy()).max())
        scale = 1 + np.abs(slow_logits.numpy()).max()
        return None if off < 1e-4 * scale else f"compiled and plain evaluation differ by {off:.1e}"

    def finite() -> str | None:
        logits, values = evaluator(planes, legal)
        good = np.isfinite(logits).all() and np.isfinite(values).all() and np.abs(values).max() <= 1
        return None if good else "logits or values that are not finite, or values outside -1..1"

    def alone() -> str | None:
        logits, values = evaluator(planes, legal)
        for k in (0, len(states) - 1):
            one_logits, one_value = evaluator(planes[k : k + 1], legal[k : k + 1])
            if not (np.array_equal(one_logits[0], logits[k]) and one_value[0] == values[k]):
                return "a position is evaluated differently alone and in a batch"
        return None

    yield attempt("compiled against plain evaluation", compiled)
    yield attempt("finite answers", finite)
    yield attempt("independent of the batch", alone)
