"""A seat: one player at many boards at once, so that its searches share batches."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mcts_ext.games import as_seen
from mcts_ext.options import SearchOptions
from mcts_ext.search import Search
from mcts_ext.state import Game
from zero.arena.clock import Clock, TimeControl
from zero.arena.players import PlayerSpec
from zero.errors import UserError
from zero.games import make_game

DEFAULT_SIMS = 100
SLICE_SIMS = 256  # of a search with a clock


@dataclass(frozen=True)
class Choice:
    """A move: `action`, None to resign; the mover's `value` in [-1, 1] and `visits` where the player has them."""

    action: int | None
    value: float | None = None
    visits: int = 0


class PlayerFailure(Exception):
    """A player broke down; `kind` is "stall", "crash", "timeout", "illegal move" or "protocol error"."""

    def __init__(self, kind: str, detail: str):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


class Seat(Protocol):
    """Boards are numbered slots. A failure of one board is returned by `choose`, or raised by the other verbs.

    `choose` gets the player's clock if the match has clocks; then there is only one board.
    """

    def reset(self, slot: int, seed: int) -> None: ...
    def play(self, slot: int, action: int) -> None: ...
    def choose(self, slots: list[int], clock: Clock | None = None) -> dict[int, Choice | PlayerFailure]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Limits:
    """What a move may cost: `sims` simulations where the player names none, or a clock. Without a clock a player who
    has not moved after `watchdog` seconds has stalled, and no other answer may take longer."""

    sims: int = DEFAULT_SIMS
    time: TimeControl | None = None
    watchdog: float = 120.0


DEFAULT_LIMITS = Limits()


class RandomSeat:
    """Uniformly random legal moves."""

    def __init__(self, game: Game, slots: int):
        self.game = game
        self.states = [game.new_state() for _ in range(slots)]
        self.rngs = [np.random.default_rng(0)] * slots

    def reset(self, slot: int, seed: int) -> None:
        self.states[slot] = self.game.new_state()
        self.rngs[slot] = np.random.default_rng(seed)

    def play(self, slot: int, action: int) -> None:
        self.states[slot].play(action)

    def choose(self, slots: list[int], clock: Clock | None = None) -> dict[int, Choice]:
        return {slot: Choice(int(self.rngs[slot].choice(self.states[slot].legal_actions()))) for slot in slots}

    def close(self) -> None:
        pass


class SearchSeat:
    """Tree search; `evaluate` is a network (planes, legal -> logits, values), "uniform" or "rollout"."""

    def __init__(self, game: Game, slots: int, options: SearchOptions, evaluate: Callable | str, sims: int,
                 temperature: float = 0.0, clocked: bool = False):
        if clocked:  # sequential halving would need to know its simulations beforehand
            options = replace(options, root="puct")
        self.search = Search(game, slots, options)
        self.evaluate, self.sims, self.temperature = evaluate, sims, temperature

    def reset(self, slot: int, seed: int) -> None:
        self.search.reset(slot, seed=seed)

    def play(self, slot: int, action: int) -> None:
        self.search.play(slot, action)

    def choose(self, slots: list[int], clock: Clock | None = None) -> dict[int, Choice]:
        if clock is None:
            self._run(slots, self.sims)
        else:
            self._run_until(slots, time.monotonic() + clock.budget())
        return {slot: self._choice(slot) for slot in slots}

    def _run(self, slots: list[int], sims: int, stop: Callable[[Search, int], bool] | None = None) -> None:
        for slot in slots:
            self.search.start(slot, sims, noise=False)
        self.search.run(self.evaluate, stop)

    def _run_until(self, slots: list[int], deadline: float) -> None:
        """In slices: where the tree reaches only ends of the game, a search comes to no evaluation, nor to `stop`."""
        self._run(slots, 1)
        while time.monotonic() < deadline:
            self._run(slots, SLICE_SIMS, lambda search, slot: time.monotonic() >= deadline)

    def _choice(self, slot: int) -> Choice:
        result = self.search.result(slot)
        return Choice(self.search.choose(slot, self.temperature), float(result.value), int(result.visits.sum()))

    def close(self) -> None:
        pass


def open_seat(player: PlayerSpec, game: Game, slots: int, limits: Limits) -> Seat:
    """Sets a player down at `slots` boards of `game`. Raises UserError when it cannot play it."""
    require_plays(player, game)
    if player.kind == "random":
        return RandomSeat(game, slots)
    if player.kind == "solver":
        from zero.arena.solver import SolverSeat

        return SolverSeat(game, slots)
    if player.external:
        from zero.arena.engines import open_engine_seat

        return open_engine_seat(player, game, slots, limits)
    options, evaluate = make_searcher(player, game)
    sims = limits.sims if player.settings.sims is None else player.settings.sims
    clocked = limits.time is not None
    return SearchSeat(seen_by(player, game), slots, options, evaluate, sims, player.settings.temperature, clocked)


def make_searcher(player: PlayerSpec, game: Game, threads: int = 1) -> tuple[SearchOptions, Callable | str]:
    """How a player searches, and what evaluates its leaves, for the game as `seen_by` it. Raises UserError if it does
    not search that game."""
    if player.kind == "network":
        from zero.arena.networks import find_network

        source = find_network(player.target)
        return player.settings.apply(source.options), source.load(game, threads)
    evaluators = {"mcts": "rollout", "uniform": "uniform", "random": "uniform"}
    if player.kind not in evaluators:
        raise UserError(f"player '{player}' does not search: name a network, mcts:1000 or uniform:1000")
    return player.settings.apply(SearchOptions()), evaluators[player.kind]


def seen_by(player: PlayerSpec, game: Game) -> Game:
    """The game by its own rules, with the planes that the player's network was trained on if it has one."""
    if player.kind != "network":
        return game
    from zero.arena.networks import find_network

    return find_network(player.target).seen(game)


def game_of(player: PlayerSpec) -> str | None:
    """The game a player names or was trained for, None if it knows none."""
    if player.settings.game or player.kind != "network":
        return player.settings.game
    from zero.arena.networks import find_network

    return find_network(player.target).game


def require_plays(player: PlayerSpec, game: Game) -> None:
    """Raises UserError if the player names another game, or is a network that does not fit this one."""
    if player.settings.game and as_seen(make_game(player.settings.game)) is not as_seen(game):
        raise UserError(f"player '{player}' plays {player.settings.game}, not {game.full_name}")
    if player.kind != "network":
        return
    from zero.arena.networks import find_network

    source = find_network(player.target)
    if not source.plays(game):
        raise UserError(f"player '{player}': this network plays {source.game}, not {game.full_name}")


def common_game(players: list[PlayerSpec], name: str | None = None) -> Game:
    """The game that the players agree on, or that the command names: then networks trained by other rules play it too.

    Raises UserError when they do not agree, a player cannot play the game, or nobody says.
    """
    if name:
        game = make_game(name)
        for player in players:
            require_plays(player, game)
            if player.kind == "network" and as_seen(make_game(game_of(player))) is not as_seen(game):
                print(f"{player} learned {game_of(player)} and plays {game.full_name} here", file=sys.stderr)
        return game
    known = {str(player): as_seen(make_game(text)) for player in players if (text := game_of(player))}
    if not known:
        raise UserError("which game? No player knows one; add --game connect4")
    game = next(iter(known.values()))
    if any(other is not game for other in known.values()):
        plays = ", ".join(f"{who} plays {other.full_name}" for who, other in known.items())
        raise UserError(f"players of different games: {plays}; --game says by which rules, where boards are the same")
    for player in players:
        require_plays(player, game)
    return game
