"""The self-play role: plays numbered games in lockstep with its own copy of the network.

A game depends on its number, the run's seed and the weights alone, not on its neighbours in the batch, on the
worker or on the moment, so that it can be played again.
"""

import hashlib
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mcts_ext.cache import EvaluationCache
from mcts_ext.endgame import Endgame
from mcts_ext.playout_cap import PlayoutCap
from mcts_ext.result import EvaluationError, SearchResult
from mcts_ext.search import Search
from mcts_ext.state import Game, State
from mcts_ext.temperature import Temperature
from zero.config import Config
from zero.errors import UserError
from zero.memory import resident_bytes
from zero.overlap import Player, SameThread, play_in_turns
from zero.record import GameRecord
from zero.resignation import NEVER, plays_on
from zero.resources import Resources
from zero.sizes import Sizes
from zero.spool import Leftovers, Spool
from zero.weights import Weights

Evaluate = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def game_seed(seed: int, index: int) -> int:
    """The 63-bit seed of game number `index` of a run."""
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def surprise(policy: np.ndarray, prior: np.ndarray) -> float:
    """KL(policy || prior) in nats: how much a policy target would change the network's mind."""
    chosen = policy > 0
    ratio = policy[chosen] / np.maximum(prior[chosen], 1e-12)
    return max(0.0, float(policy[chosen] @ np.log(ratio)))


@dataclass
class Lane:
    """A game in progress."""

    index: int
    seed: int
    rng: np.random.Generator
    state: State
    random_plies: int
    resigns: bool  # whether a player may
    full: bool = True  # whether the present search makes a policy target
    moves: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    policies: list[np.ndarray] = field(default_factory=list)
    priors: list[np.ndarray | None] = field(default_factory=list)  # the network's policy where there is a target
    lost: list[int] = field(default_factory=lambda: [0, 0])  # searches in a row that looked lost, of each player


@dataclass(eq=False)
class Group:
    """Games of one size in lockstep: each in a slot of one search."""

    search: Search
    lanes: dict[int, Lane] = field(default_factory=dict)  # by slot


@dataclass(frozen=True)
class PlayReport:
    """What `SelfPlayWorker.play` did: finished games as record bytes, how many are not finished, and its work.

    Of `seconds` the network answered `network_seconds` and a search went on in `search_seconds`; with several groups of
    games both may happen at once.
    """

    records: list[bytes]
    unfinished: int
    positions: int
    sims: int
    seconds: float
    network_seconds: float
    search_seconds: float
    evaluations: int = 0  # positions that the network was asked about
    batches: Counter[int] = field(default_factory=Counter)  # how many of them at once -> how often
    memory: int = 0  # bytes that the worker's process holds
    spooled: int = 0  # of the games, those that a worker before this one had played and could not hand over


class SelfPlayWorker:
    """Plays games of one run; `play` returns every so often with those that have ended."""

    def __init__(self, config: Config, resources: Resources | None = None, spool: Spool | None = None):
        self.config, settings = config, config.selfplay
        self.resources = resources or Resources.of(settings)
        self.spool = spool or Spool()
        self.sizes = Sizes(config)
        games = self.sizes.games
        self.caches = {game: EvaluationCache(game, settings.cache) for game in games} if settings.cache else {}
        self.groups = [self._make_group(game) for game in games for _ in range(self.resources.groups)]
        self._executor = ThreadPoolExecutor(1) if self.resources.groups > 1 else SameThread()  # of the network
        self.temperature = Temperature(
            settings.temperature, plies=settings.temperature_plies, half_life=settings.temperature_half_life
        )
        self.cap = PlayoutCap(settings.sims, settings.fast_sims, settings.full_share)
        self.endgames = {game: Endgame(game) for game in games} if settings.proof_moves else {}
        self.queues: dict[Game, deque[int]] = {game: deque() for game in games}
        self.version = -1
        self._evaluate: Evaluate | None = None
        self._resign_threshold = NEVER
        self._begin_report()

    def _make_group(self, game: Game) -> Group:
        threads = min(self.resources.threads, len(os.sched_getaffinity(0)))
        cache = self.caches.get(game)
        return Group(Search(game, self.resources.lanes, self.config.search, threads=threads, cache=cache))

    @property
    def unfinished(self) -> int:
        """Games taken on and not finished."""
        return sum(map(len, self.queues.values())) + sum(len(group.lanes) for group in self.groups)

    def load(self, weights: Weights, distrusted: Collection[str] = ()) -> Leftovers:
        """Takes another network; games in progress are dropped. Returns what workers before this one have left of the
        games of that network, but for `distrusted` spools. Raises `DamagedWeights` and keeps the old one."""
        from zero.network import read_about

        with weights.as_file() as path:
            self._evaluate = self._executor.submit(self._read_network, path).result()
            self._resign_threshold = read_about(path)["about"].get("resign_threshold", NEVER)
        self.version = weights.version
        for cache in self.caches.values():
            cache.clear()
        self._drop_games()
        return self.spool.begin(weights.sha256, distrusted)

    def _drop_games(self) -> None:
        for queue in self.queues.values():
            queue.clear()
        for group in self.groups:
            group.lanes.clear()

    def _read_network(self, path: str) -> Evaluate:
        """To be called in the thread that will evaluate: each thread has a card of its own. Raises `UserError`."""
        from nn.backend import use_card
        from zero.evaluator import NetworkEvaluator

        try:
            if self.resources.device == "cuda":
                use_card(self.resources.card)
            evaluators = {
                (game.rows, game.cols): NetworkEvaluator.load(path, game.full_name, device=self.resources.device)
                for game in self.sizes.games
            }
        except ValueError as error:  # there is none
            raise UserError(str(error)) from None
        if len(evaluators) == 1:
            return evaluators.popitem()[1]
        return lambda planes, legal: evaluators[planes.shape[1:3]](planes, legal)

    def play(self, seconds: float, indices: list[int]) -> PlayReport:
        """Takes on more games and plays for about `seconds`, or until none is left. To be called when the games it
        returned before are stored. Raises `EvaluationError` if the network fails."""
        self.spool.trim()
        self._begin_report()
        for index in indices:
            payload = self.spool.take(index)
            if payload is None:
                self.queues[self.sizes.game(game_seed(self.config.seed, index))].append(index)
            else:
                self._records.append(payload)
        spooled = len(self._records)
        begin = time.perf_counter()
        players = [self._play_group(group, begin + seconds) for group in self.groups]
        try:
            waited = play_in_turns(players, self._timed_evaluate, self._executor)
        except EvaluationError:
            self.spool.trim()  # nothing that this network played is to be trusted
            raise
        elapsed = time.perf_counter() - begin
        if isinstance(self._executor, SameThread):
            waited = self._network_seconds
        return PlayReport(self._records, self.unfinished, self._positions, self._sims, elapsed, self._network_seconds,
                          elapsed - waited, self._evaluations, self._batches, resident_bytes(), spooled)

    def _begin_report(self) -> None:
        self._records: list[bytes] = []
        self._network_seconds = 0.0
        self._positions = self._sims = self._evaluations = 0
        self._batches: Counter[int] = Counter()

    def _play_group(self, group: Group, deadline: float) -> Player:
        """Move after move in all lanes of a group, until the deadline or until there are no games."""
        search = group.search
        try:
            while time.perf_counter() < deadline:
                self._fill(group)
                if not group.lanes:
                    return
                self._start(group)
                while len((question := search.collect())[0]):
                    search.apply(*(yield question))
                self._positions += len(group.lanes)
                for payload in self._move(group):
                    self.spool.append(payload)
                    self._records.append(payload)
        finally:
            search.stop_all()  # if something failed

    def _fill(self, group: Group) -> None:
        game = group.search.game
        for slot in range(self.resources.lanes):
            if slot in group.lanes or not self.queues[game]:
                continue
            index = self.queues[game].popleft()
            seed = game_seed(self.config.seed, index)
            rng = np.random.default_rng(seed)
            settings = self.config.selfplay
            random_plies = int(rng.integers(0, settings.random_plies + 1))
            resigns = settings.resign_false_rate > 0 and not plays_on(seed, settings)
            group.search.reset(slot, seed=seed)
            group.lanes[slot] = Lane(index, seed, rng, game.new_state(), random_plies, resigns)

    def _start(self, group: Group) -> None:
        """Starts the searches of the next move of every lane."""
        settings = self.config.selfplay
        for slot, lane in group.lanes.items():
            if len(lane.moves) < lane.random_plies:
                continue
            exploring = len(lane.moves) < settings.temperature_plies
            sims, lane.full = self.cap.draw(lane.rng)
            group.search.start(slot, sims, noise=exploring)
            self._sims += sims

    def _timed_evaluate(self, planes: np.ndarray, legal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begin = time.perf_counter()
        answer = self._evaluate(planes, legal)
        self._network_seconds += time.perf_counter() - begin
        self._evaluations += len(planes)
        self._batches[len(planes)] += 1
        return answer

    def _move(self, group: Group) -> list[bytes]:
        """Plays one move in every lane; returns the games that ended."""
        ended = []
        for slot, lane in list(group.lanes.items()):
            mover, proven = lane.state.to_move, None
            if len(lane.moves) < lane.random_plies:
                action, value, policy = int(lane.rng.choice(lane.state.legal_actions())), np.nan, None
            else:
                result = group.search.result(slot)
                action, value = self._choose(lane, result), result.policy_value
                policy = result.policy if lane.full else None
                if self.config.selfplay.end_when_proven:
                    proven = result.proven_value
                if lane.resigns and self._resigned(lane, value):
                    proven = -1
            lane.moves.append(action)
            lane.values.append(value)
            lane.policies.append(policy)
            lane.priors.append(None if policy is None else result.prior)
            lane.state.play(action)
            if lane.state.terminal:
                mover, proven = lane.state.to_move, int(lane.state.outcome())
            if proven is not None:
                ended.append(self._record(lane, proven if mover == 0 else -proven).to_bytes())
                del group.lanes[slot]
            else:
                group.search.play(slot, action)
        return ended

    def _choose(self, lane: Lane, result: SearchResult) -> int:
        temperature = self.temperature(len(lane.moves))
        if self.config.search.root == "puct" and temperature > 0:
            weights = (result.policy.astype(np.float64) / result.policy.max()) ** (1 / temperature)
            return int(lane.rng.choice(len(weights), p=weights / weights.sum()))
        return result.best

    def _resigned(self, lane: Lane, value: float) -> bool:
        """Whether the player to move gives up after a search of that value, see `zero.resignation`."""
        mover = lane.state.to_move
        lane.lost[mover] = lane.lost[mover] + 1 if value < self._resign_threshold else 0
        return lane.lost[mover] >= self.config.selfplay.resign_moves

    def _prove(self, lane: Lane) -> int:
        """Proves positions from the last one backwards until one takes too long; returns the first proven ply.

        Their values become the true ones, and moves that give value away leave their policy targets.
        """
        moves = self.config.selfplay.proof_moves
        first = len(lane.moves)
        if not moves:
            return first
        endgame = self.endgames[lane.state.game]
        endgame.clear()
        states = [lane.state.game.new_state()]
        for move in lane.moves[:-1]:
            states.append(states[-1].copy())
            states[-1].play(move)
        while first > 0:
            value = endgame.value(states[first - 1], moves)
            if value is None:
                break
            first -= 1
            lane.values[first] = value
            if lane.policies[first] is not None:
                lane.policies[first] = self._without_losses(states[first], value, lane.policies[first])
        return first

    def _without_losses(self, state: State, value: int, policy: np.ndarray) -> np.ndarray:
        """The policy target of a position of that value without the moves that are proven to give it away."""
        values = self.endgames[state.game].values(state, self.config.selfplay.proof_moves)
        good = (state.legal() > 0) & (values >= value)  # UNPROVEN is more than any value
        kept = np.where(good, policy, 0)
        return kept / kept.sum() if kept.sum() > 0 else good / good.sum()

    def _record(self, lane: Lane, result: int) -> GameRecord:
        """The record of a game with that result, seen by the first player."""
        proven = self._prove(lane)
        targets = zip(lane.policies, lane.priors, strict=True)  # a proof may surprise where the search did not
        surprises = [0.0 if policy is None else surprise(policy, prior) for policy, prior in targets]
        counts, actions, probs = [], [], []
        for policy in lane.policies:
            chosen = np.empty(0, np.int64) if policy is None else np.flatnonzero(policy > 1e-4)
            counts.append(len(chosen))
            actions.append(chosen)
            probs.append(np.empty(0) if policy is None else policy[chosen])
        return GameRecord(
            lane.index,
            lane.seed,
            self.version,
            proven,
            result,
            np.array(lane.moves, np.uint16),
            np.array(lane.values, np.float16),
            np.array(counts, np.uint16),
            np.concatenate(actions).astype(np.uint16),
            np.concatenate(probs).astype(np.float16),
            np.array(surprises, np.float16),
        )


class CardWorker(SelfPlayWorker):
    """A self-play worker whose network is on a card."""

    gpus = 1  # what a backend that hands out cards has to give it
