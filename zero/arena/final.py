"""The match at the end of a training: did it learn, and how sure is that."""

import time

from zero.arena.match import default_openings, play_match
from zero.arena.match_log import MatchLog
from zero.arena.match_result import MatchResult
from zero.arena.openings import make_openings
from zero.arena.players import parse_player
from zero.display import Display
from zero.games import make_game
from zero.run import RunDirectory


def play_final_match(run: RunDirectory, display: Display) -> dict:
    """Plays the run's newest network against `match.opponent`, keeps the games in `matches/` and says who won.

    Returns the summary, see `MatchResult.to_json`. Raises UserError when the opponent cannot play.
    """
    settings, game = run.config.match, make_game(run.config.game)
    version = run.weights()[-1].version
    player, opponent = parse_player(f"{run.root}@{version}?sims={settings.sims}"), parse_player(settings.opponent)
    openings = make_openings(default_openings(game), game, run.config.seed, (settings.games + 1) // 2)
    directory = run.root / "matches" / f"final-{version:06d}"
    plan = {"a": str(player), "b": str(opponent), "seed": run.config.seed}
    log = MatchLog(directory, game, plan, openings, resume=(directory / "match.json").exists())
    shown = time.monotonic()

    def progress(result: MatchResult) -> None:
        nonlocal shown
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            display.message(f"match: {len(result.games)} of {settings.games} games, {result.points:g} points")

    display.message(f"match of {settings.games} games against {settings.opponent}")
    result = play_match(player, opponent, game, settings.games, run.config.seed, progress, openings=openings,
                        done=log.done, on_game=log.add)
    log.finish(result)
    display.message(result.verdict())
    return result.to_json()
