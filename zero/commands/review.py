"""`zero review GAME --player P`: every move judged, as SGF comments and an HTML page."""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from zero.errors import UserError


@dataclass(frozen=True)
class ReviewArguments:
    """Judge every move of a game: win rate, what it lost, what was better.

    GAME is an SGF file, or a JSONL file of games ({"moves": [...]} a line) for games that SGF does not know. Writes
    GAME.review.sgf and GAME.review.html beside it.
    """

    file: tyro.conf.Positional[Path]
    player: str  # who judges, see zero match --help
    sims: int | None = None  # simulations for every position [the player's own, or 400]
    game: str | None = None  # the game of a JSONL file, when the player knows none
    number: int = 1  # which game of the file
    out: Path | None = None  # where to write, without ending [the file's own name]
    threads: int | None = None  # [one for each core]
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(ReviewArguments, prog="zero review", args=argv)
    from nn.save import write_atomically
    from zero.arena.players import parse_player
    from zero.arena.review import review_game, worst_first
    from zero.arena.seats import make_searcher
    from zero.protocols import sgf
    from zero.report.review_page import annotate, review_html

    player = parse_player(arguments.player)
    start, actions, root = _read(arguments, player)
    if not actions:
        raise UserError(f"{arguments.file}: there are no moves in it")
    threads = arguments.threads or len(os.sched_getaffinity(0))
    options, evaluate = make_searcher(player, start.game, threads)
    sims = next(n for n in (arguments.sims, player.settings.sims, 400) if n is not None)
    reviews = review_game(start, actions, replace(options, root="puct"), evaluate, sims, threads)
    base = arguments.out or arguments.file.with_suffix("")
    written = [base.with_name(base.name + ".review.html")]
    write_atomically(written[0], review_html(f"{arguments.file.name}: judged by {player}", start, reviews).encode())
    if root is not None:
        annotate(root, start, reviews)
        written.append(base.with_name(base.name + ".review.sgf"))
        write_atomically(written[1], sgf.serialise(root).encode())
    out = sys.stderr if arguments.json else sys.stdout
    text = start.game.action_to_text
    for review in worst_first(reviews)[:10]:
        print(f"move {review.number:>3} {text(review.action):>5}: {review.kind}, lost {100 * review.loss:.1f} points "
              f"of win rate; better {text(review.best)}", file=out)
    print(*(f"wrote {path}" for path in written), sep="\n", file=out)
    if arguments.json:
        rows = [{"move": review.number, "played": text(review.action), "best": text(review.best),
                 "win_rate": round(review.win_rate, 4), "loss": round(review.loss, 4), "kind": review.kind}
                for review in reviews]
        print(json.dumps({"game": start.game.full_name, "files": [str(path) for path in written], "moves": rows}))
    return 0


def _read(arguments: ReviewArguments, player):
    """(start, actions, SGF root or None)."""
    from mcts_ext.games import family
    from zero.arena.seats import common_game, seen_by
    from zero.games import make_game
    from zero.protocols import game_sgf, sgf

    try:
        data = arguments.file.read_bytes()
    except OSError as error:
        raise UserError(f"{arguments.file}: {error.strerror}") from None
    where = f"{arguments.file}: game {arguments.number}"
    if arguments.file.suffix == ".sgf":
        roots = sgf.parse(data)
        if not 1 <= arguments.number <= len(roots):
            raise UserError(f"{arguments.file}: there are {len(roots)} games in it, not {arguments.number}")
        root = roots[arguments.number - 1]
        name = game_sgf.game_name(root)
        game = common_game([player], name)
        if family(name) == "go" and root.properties.get("KM"):
            game = make_game(name, komi=root.number("KM"))
        game = seen_by(player, game)
        start, actions = game_sgf.read_game(root, game)
        # SGF is UTF-8 from here on, whatever it was.
        root.set_text("CA", "UTF-8")
        return start, actions, root
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    try:
        line = json.loads(lines[arguments.number - 1])
        moves = line["moves"] if isinstance(line, dict) else line
        name = arguments.game or (line.get("game") if isinstance(line, dict) else None)
        game = seen_by(player, common_game([player], name))
        actions = [game.text_to_action(move) for move in moves]
        state = game.new_state()
        for action in actions:
            state.play(action)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{where}: {error}") from None
    return game.new_state(), actions, None
