"""Checks of a game, a network and the installation that learning curves do not show.

Wrong signs and perspectives are the commonest and deadliest faults of self-play programs, so every registered game
is compared with definitions that do not come from its own code: exhaustive minimax, symmetric play, random play.
Training refuses to start on a game that fails.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mcts_ext.cache import EvaluationCache
from mcts_ext.options import SearchOptions
from mcts_ext.result import SearchResult
from mcts_ext.search import Search
from mcts_ext.state import Game, State
from zero.errors import UserError

MINIMAX_NODES = 1_000  # positions with a larger game tree are left out
SEARCH_SIMS = 50_000
CACHE_SIMS = 48


class Skipped(Exception):
    """A check that this machine cannot make; the message says why."""


class Fault(Exception):
    """A check failed; the message holds the board where it was seen."""

    def __init__(self, text: str, state: State | None = None):
        super().__init__(text if state is None else f"{text}, at this position:\n{state}")


@dataclass(frozen=True)
class Check:
    """The outcome of one check: it passed, it found a fault, or it was skipped for a reason."""

    name: str
    fault: str | None = None
    skipped: str | None = None


def random_games(game: Game, count: int, rng: np.random.Generator) -> Iterator[tuple[list[State], list[int]]]:
    """`count` uniformly random games: all positions, the terminal one last, and the moves between them.

    Raises `Fault` if one does not end.
    """
    for _ in range(count):
        state = game.new_state()
        states, moves = [state.copy()], []
        while not state.terminal:
            if len(states) > game.max_length:
                raise Fault(f"a game is longer than max_length = {game.max_length}", state)
            actions = state.legal_actions()
            if not actions:
                raise Fault("not terminal, yet without a legal action", state)
            moves.append(int(rng.choice(actions)))
            state.play(moves[-1])
            states.append(state.copy())
        yield states, moves


def sample(states: list[State], count: int, rng: np.random.Generator) -> list[State]:
    """Some of a game's positions, the last among them."""
    chosen = rng.permutation(len(states) - 1)[: count - 1]
    return [states[k] for k in chosen] + states[-1:]


def check_masks(game: Game, rng: np.random.Generator) -> None:
    """`play` accepts exactly what `legal` marks; nothing is legal at the end."""
    for states, _ in random_games(game, 3, rng):
        for state in sample(states, 30, rng):
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
    for states, _ in random_games(game, 5, rng):
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
    for states, _ in random_games(game, 3, rng):
        for state in sample(states, 50, rng):
            planes = state.encode()
            if not np.isfinite(planes).all():
                raise Fault("planes that are not finite", state)
            if not np.array_equal(planes, state.copy().encode()):
                raise Fault("a copy has other planes", state)
            own = state.stones() == state.to_move + 1
            if not np.array_equal(planes[..., 0], own):
                raise Fault("the first plane is not the mover's stones", state)


def check_symmetries(game: Game, rng: np.random.Generator) -> None:
    """Play mapped by a symmetry leads to the mapped position: board, planes, mask and result.

    A symmetry that moves the start position (half of Othello's) cannot be played out; it must still belong to the
    group that the others generate with it.
    """
    if not np.array_equal(game.symmetries[0][0], np.arange(game.num_actions)):
        raise Fault("the first symmetry is not the identity")
    group = {(actions.tobytes(), points.tobytes()) for actions, points in game.symmetries}
    for actions, points in game.symmetries:
        for other_actions, other_points in game.symmetries:
            if (actions[other_actions].tobytes(), points[other_points].tobytes()) not in group:
                raise Fault("one symmetry after another is none")
    states, moves = next(random_games(game, 1, rng))
    for number, (actions, points) in enumerate(game.symmetries):
        mirror = game.new_state()
        if not maps_to(states[0], mirror, actions, points):
            continue
        for ply, state in enumerate(states):
            if not maps_to(state, mirror, actions, points):
                raise Fault(f"symmetry {number}: planes or legal actions do not map", mirror)
            if ply < len(moves):
                mirror.play(int(actions[moves[ply]]))
        if mirror.outcome() != states[-1].outcome():
            raise Fault(f"symmetry {number}: the result changes", mirror)


def maps_to(state: State, mirror: State, actions: np.ndarray, points: np.ndarray) -> bool:
    """Is `mirror` the image of `state` under a symmetry, as far as planes and legal actions tell?"""
    mask, flat = state.legal(), state.encode().reshape(len(points), -1)
    mapped_mask, mapped = np.empty_like(mask), np.empty_like(flat)
    mapped_mask[actions] = mask
    mapped[points] = flat
    return np.array_equal(mapped_mask, mirror.legal()) and np.array_equal(mapped, mirror.encode().reshape(flat.shape))


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
    """The exact value for the player to move: exhaustive negamax, wins at once first. Raises `TooLarge`."""
    if state.terminal:
        return state.outcome()
    children = []
    for action in state.legal_actions():
        budget[0] -= 1
        if budget[0] < 0:
            raise TooLarge
        child = state.copy()
        child.play(action)
        if child.terminal and child.to_move != state.to_move and child.outcome() == -1:
            return 1.0
        children.append(child)
    best = -1.0
    for child in children:
        value = minimax(child, budget)
        best = max(best, -value if child.to_move != state.to_move else value)
        if best == 1:
            break
    return best


def check_search(game: Game, rng: np.random.Generator) -> None:
    """The search's move keeps the value that exhaustive minimax finds, in late positions of random games."""
    search = Search(game, 1, SearchOptions(root="puct"), seed=1)
    tried = 0
    for states, _ in random_games(game, 6, rng):
        for state in reversed(states[:-1]):
            try:
                value = minimax(state, [MINIMAX_NODES])
                search.reset(0, state)
                search.start(0, SEARCH_SIMS, noise=False)
                search.run("uniform")
                best = search.result(0).best
                after = state.copy()
                after.play(best)
                kept = minimax(after, [MINIMAX_NODES])
            except TooLarge:
                break
            kept = -kept if after.to_move != state.to_move else kept
            tried += 1
            if kept != value:
                move = game.action_to_text(best)
                raise Fault(f"minimax says {value:+.0f}, the search plays {move} for {kept:+.0f}", state)
    if tried == 0:
        raise Fault(f"no position of {game.name} was small enough to compare the search with minimax")


def check_cache(game: Game, rng: np.random.Generator) -> None:
    """A search finds the same, bit for bit, with an evaluation cache as without, also when the cache knows it all."""
    evaluate = stand_in(game, rng)
    for states, _ in random_games(game, 2, rng):
        for state in sample(states[:-1], 3, rng):
            cache = EvaluationCache(game, 4096)
            plain, *cached = (_searched(game, state, evaluate, used) for used in (None, cache, cache))
            if any(not np.array_equal(plain.visits, found.visits) or not np.array_equal(plain.q, found.q)
                   for found in cached):
                raise Fault("a search finds something else with an evaluation cache", state)


def stand_in(game: Game, rng: np.random.Generator) -> Callable:
    """An evaluator whose answer depends on every number of the planes, as a network's does."""
    size = game.rows * game.cols * game.planes
    first, second = rng.standard_normal((size, 8)), rng.standard_normal((8, game.num_actions + 1))

    def evaluate(planes: np.ndarray, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer = np.sin(planes.reshape(len(planes), size) @ first) @ second
        return answer[:, 1:].astype(np.float32), np.tanh(answer[:, 0]).astype(np.float32)

    return evaluate


def _searched(game: Game, state: State, evaluate: Callable, cache: EvaluationCache | None) -> SearchResult:
    search = Search(game, 1, SearchOptions(), seed=1, cache=cache)
    search.reset(0, state, seed=1)
    search.start(0, CACHE_SIMS)
    search.run(evaluate)
    return search.result(0)


GAME_CHECKS: dict[str, Callable[[Game, np.random.Generator], None]] = {
    "legal masks": check_masks,
    "terminal values": check_values,
    "planes": check_planes,
    "symmetries": check_symmetries,
    "notation": check_notation,
    "search against minimax": check_search,
    "evaluation cache": check_cache,
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


def require_sound(game: Game) -> None:
    """Raises `UserError` with the first failing position if a game fails a check: a run on it would learn nonsense."""
    for check in examine(game):
        if check.fault is not None:
            raise UserError(f"{game.full_name} fails the check of its {check.name}: {check.fault}")


def attempt(name: str, check: Callable[[], str | None]) -> Check:
    """Runs a check that returns its fault, or raises one."""
    try:
        return Check(name, check())
    except Skipped as reason:
        return Check(name, skipped=str(reason))
    except Fault as fault:
        return Check(name, str(fault))
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
