"""Who there is to play against: runs and their checkpoints, networks in files, and players that need none.

Networks that come with Zero lie in `zero/nets`: NAME.safetensors, and beside it a card NAME.toml or NAME.json with
`game`, and if known `name` (for people), `elo` and `error` (as `zero ladder` measures them, random play is 0).
"""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import zero
from gui.looks import family
from mcts_ext.games import as_seen, make
from zero.protocols.engine import find_program

RUNS = Path("runs")
NETS = Path(zero.__file__).parent / "nets"
ROLLOUTS = "mcts:1000"  # who plays where there is no network
SOLVED = ("tictactoe",)  # perfect play at once; that of Connect Four can take minutes a move
_RATED = re.compile(r"@(\d+)\?sims=(\d+)$")  # how a ladder names a run's networks
# We count the board as it stands: GNU Go has to take dead stones off before it passes.
_GNUGO = "gtp:gnugo --mode gtp --level {} --chinese-rules --capture-all-dead --positional-superko"
# game or family: (program, its name for people, player by level)
ENGINES = {"go": ("gnugo", "GNU Go", {n: _GNUGO.format(n) for n in (1, 5, 10)}),
           "othello8": ("gtp-rhino", "Rhino", {None: "gtp:gtp-rhino"})}


@dataclass(frozen=True)
class Level:
    """A strength that was measured: a checkpoint with so many simulations a move. `error` is a 95 % interval."""

    checkpoint: int
    sims: int
    elo: float
    error: float


@dataclass(frozen=True)
class Result:
    """How a checkpoint did in a match: Elo above the opponent, half a 95 % interval."""

    opponent: str
    elo: float
    error: float


@dataclass(frozen=True)
class Net:
    """A network that comes with Zero."""

    path: Path
    game: str
    name: str
    elo: float | None = None
    error: float = 0.0


@dataclass(frozen=True)
class Run:
    """A run directory as the window sees it. `checkpoints`: numbers in rising order; `levels`: the weakest first."""

    path: Path
    game: str
    checkpoints: tuple[int, ...] = ()
    levels: tuple[Level, ...] = ()
    results: dict[int, "Result"] = field(default_factory=dict)
    changed: float = 0.0  # when it last measured something (Unix time)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def elo(self) -> dict[int, tuple[float, float]]:
        """Checkpoint to (rating, error), at the most simulations that were measured."""
        return {lv.checkpoint: (lv.elo, lv.error) for lv in sorted(self.levels, key=lambda lv: lv.sims)}

    def player(self, step: int | None = None) -> str:
        return str(self.path) if step is None else f"{self.path}@{step}"


def find_run(path: Path) -> Run | None:
    """Reads a run directory; None if it is not one."""
    try:
        config = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    game = config.get("game")
    game = game.get("name") if isinstance(game, dict) else game
    if not isinstance(game, str):
        return None
    metrics = path / "metrics.jsonl"
    changed = metrics.stat().st_mtime if metrics.exists() else 0.0
    return Run(path, shown(game), checkpoint_steps(path), read_levels(path), read_results(path), changed)


def shown(game: str) -> str:
    """A game's name as the window lists it: without settings that only say what a network sees."""
    try:
        return as_seen(make(game)).full_name
    except ValueError:  # an installed game that is gone
        return game


def find_runs(folder: Path = RUNS) -> list[Run]:
    try:
        entries = sorted(p for p in folder.iterdir() if p.is_dir())
    except OSError:
        return []
    return [run for path in entries if (run := find_run(path))]


def checkpoint_steps(path: Path) -> tuple[int, ...]:
    """The numbers of the weights a run has kept."""
    steps = {int(m[1]) for p in path.glob("weights/*") if (m := re.search(r"(\d+)(?:\.safetensors)?$", p.name))}
    return tuple(sorted(steps))


def read_levels(path: Path) -> tuple[Level, ...]:
    """What `zero ladder` measured of a run, the weakest first; nothing where there is no ladder."""
    try:
        rows = json.loads((path / "ladder" / "ladder.json").read_text(encoding="utf-8"))["players"]
        rated = [(_RATED.search(row["player"]), float(row["elo"]), float(row["error"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    levels = [Level(int(name[1]), int(name[2]), elo, error) for name, elo, error in rated if name]
    return tuple(sorted(levels, key=lambda level: level.elo))


def read_results(path: Path) -> dict[int, Result]:
    """The match that `zero train` played at its end, by checkpoint. A match that was won or lost throughout has no
    Elo."""
    found = {}
    for file in sorted(path.glob("matches/final-*/result.json")):
        try:
            row = json.loads(file.read_text(encoding="utf-8"))
            low, high = float(row["elo_low"]), float(row["elo_high"])
            found[int(file.parent.name[6:])] = Result(str(row["b"]), float(row["elo"]), (high - low) / 2)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def find_nets(folder: Path | None = None) -> list[Net]:
    """The networks of a folder (those that come with Zero), the strongest first.

    Without a card the file's name begins with its game's.
    """
    nets = []
    for path in sorted((folder or NETS).glob("*.safetensors")):
        card = _card(path)
        game, elo = str(card.get("game") or re.split(r"[-_.]", path.name)[0]), card.get("elo")
        elo, error = (float(v) if isinstance(v, (int, float)) else None for v in (elo, card.get("error")))
        nets.append(Net(path, game, str(card.get("name") or path.stem), elo, error or 0.0))
    return sorted(nets, key=lambda net: -(net.elo or 0.0))


def _card(path: Path) -> dict:
    for ending, read in ((".toml", tomllib.loads), (".json", json.loads)):
        try:
            card = read(path.with_suffix(ending).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(card, dict):
            return card
    return {}


@dataclass(frozen=True)
class Known:
    """The networks at hand, looked for once."""

    runs: list[Run] = field(default_factory=list)
    nets: list[Net] = field(default_factory=list)

    @classmethod
    def here(cls) -> "Known":
        return cls(find_runs(), find_nets())

    def best(self, game: str, rules: dict | None = None) -> str:
        """Whom to play against: the run trained last, else the strongest network that came along, else rollouts."""
        if not fits_networks(game, rules or {}):
            return ROLLOUTS
        runs = [run for run in self.runs if run.game == game and run.checkpoints]
        if runs:
            return max(runs, key=lambda run: run.changed).player()
        return next((str(net.path) for net in self.nets if net.game == game), ROLLOUTS)


def fits_networks(game: str, rules: dict) -> bool:
    """Whether a network trained for the game's own rules can play under these: they show and allow it the same."""
    own, agreed = make(game), make(game, **rules)
    return (own.planes, own.num_actions) == (agreed.planes, agreed.num_actions)


def body(player: str) -> str:
    """A player's line without the checkpoint and the settings: `runs/c4` of `runs/c4@12?sims=50`."""
    return re.split(r"[@?]", player)[0]


def title(player: str) -> str:
    """A player's line in short: a network file by its name, another program without what it is started with; without
    simulations and temperature, which are told as its strength."""
    for _, name, levels in ENGINES.values():
        if player in levels.values():
            level = next(number for number, line in levels.items() if line == player)
            return f"{name} {level}" if level else name
    kind, _, command = player.partition(":")
    if kind not in ("gtp", "gomocup"):
        line, _, settings = player.partition("?")
        rest = "&".join(part for part in settings.split("&") if not part.startswith(("sims=", "temperature=")))
        name = Path(line).stem if line.endswith(".safetensors") else re.sub(r"^(mcts|uniform):\d+$", r"\1", line)
        return f"{name}?{rest}" if rest else name
    return f"{kind}:{Path(command.split()[0]).name}" if command.strip() else player


def run_of(player: str) -> Run | None:
    """The run of a player's line, None if it names none."""
    return find_run(Path(body(player)))


def network_game(path: Path) -> str:
    """The game that the network in a file plays. Raises ValueError if it is no network."""
    from zero.errors import UserError
    from zero.network import read_about

    try:
        return shown(read_about(path)["game"])
    except UserError as error:
        raise ValueError(str(error)) from None


def read_metrics(path: Path, offset: int = 0) -> tuple[list[dict], int]:
    """The complete lines of a growing JSON-lines file from a byte offset on, and the offset to go on from."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
    except OSError:
        return [], offset
    end = data.rfind(b"\n") + 1
    records = []
    for line in data[:end].splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records, offset + end


def options(game: str, known: Known, t, rules: dict | None = None) -> list[tuple[str, str]]:
    """(player line, text) for a drop-down list: people, the newest networks, players without one, other programs that
    this machine has, checkpoints with what was measured of them."""
    networks = fits_networks(game, rules or {})
    runs = [run for run in known.runs if run.game == game and run.checkpoints and networks]
    found = [("human", t("human"))] + [(run.player(), t("choose.latest", name=run.name)) for run in runs]
    for net in known.nets if networks else ():
        if net.game == game:
            rated = net.elo is not None
            found.append((str(net.path), t("choose.elo", name=net.name, elo=net.elo, error=net.error) if rated
                          else net.name))
    found += [(ROLLOUTS, t("choose.rollouts")), ("random", t("choose.random"))]
    if family(game) in SOLVED:
        found.append(("solver", t("choose.solver")))
    program, name, levels = ENGINES.get(game) or ENGINES.get(family(game)) or ("", "", {})
    if program and find_program(program):
        found += [(player, t("choose.program", program=name, level=level) if level else name)
                  for level, player in levels.items()]
    return found + [(run.player(step), _checkpoint(run, step, t)) for run in runs for step in reversed(run.checkpoints)]


def _checkpoint(run: Run, step: int, t) -> str:
    name, rating, result = f"{run.name}@{step}", run.elo.get(step), run.results.get(step)
    if rating:
        return t("choose.elo", name=name, elo=rating[0], error=rating[1])
    if result:
        return t("choose.result", name=name, **vars(result))
    return name
