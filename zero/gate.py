"""The gatekeeper: a network is published only if it beats the one that plays now.

AlphaGo Zero's evaluator (Silver et al. 2017, Methods: 55 % of 400 games), or a sequential test as in Leela Zero. The
learner goes on from its own weights either way.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from mcts_ext.state import Game
from zero.arena.match import play_match
from zero.arena.match_result import MatchResult
from zero.arena.players import PlayerSpec, Settings, parse_player
from zero.arena.sprt import Sprt
from zero.arena.workers import Workers
from zero.config import Config


def play_gate(candidate: Path, best: Path, game: Game, config: Config, seed: int,
              on_progress: Callable[[MatchResult], None], pool: Workers) -> MatchResult:
    """The match of the two networks, both searching as in self-play but without noise."""

    def player(path: Path) -> PlayerSpec:
        search = tuple(asdict(config.search).items())
        return replace(parse_player(str(path)), settings=Settings(sims=config.gate.sims, search=search))

    sprt = Sprt() if config.gate.sprt else None
    return play_match(player(candidate), player(best), game, config.gate.games, seed, on_progress, sprt=sprt, pool=pool)


def accepts(result: MatchResult, config: Config) -> bool:
    """Whether the candidate, the match's first player, is to play from now on."""
    if result.decision:
        return result.decision == "H1"
    return result.points / len(result.games) >= config.gate.threshold
