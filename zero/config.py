"""The settings of a run: frozen dataclasses, filled from a TOML file and dotted overrides, and checked.

Every section is a table of the file. A key that is unknown, of the wrong type or out of range raises
`UserError` with the file, the dotted key and what is allowed.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mcts_ext.options import SearchOptions
from zero.errors import UserError


class SettingError(ValueError):
    """A value out of range; `key` is the field's name within its section."""

    def __init__(self, key: str, value: Any, rule: str):
        super().__init__(f"{key} = {value!r}: {rule}")
        self.key = key


def at_least(section: Any, minimum: float, *keys: str) -> None:
    for key in keys:
        if not getattr(section, key) >= minimum:
            raise SettingError(key, getattr(section, key), f"must be {minimum:g} or more")


def within(section: Any, low: float, high: float, *keys: str) -> None:
    for key in keys:
        if not low <= getattr(section, key) <= high:
            raise SettingError(key, getattr(section, key), f"must lie between {low:g} and {high:g}")


@dataclass(frozen=True)
class NetworkConfig:
    """The dual-head residual network (Silver et al. 2017, Methods, "Neural network architecture").

    Blocks and heads: see `zero.blocks` and `zero.heads`. With policy_head "convolutional" and value_pooling no weight
    depends on the size of the board: the file plays every size of its game.
    """

    blocks: int = 5  # blocks of the tower
    channels: int = 64  # width of the tower
    block: Literal["residual", "preactivation", "bottleneck"] = "residual"  # fastest on a CPU: residual
    se: int = 0  # squeeze-excitation in every block: width of its hidden layer; 0 = none
    pool_every: int = 0  # every so many blocks one sees the whole board by global pooling; 0 = none
    policy_head: Literal["flat", "convolutional"] = "flat"  # "convolutional": for games with an action for each point
    value_pooling: bool = False  # the value head reads pooled features instead of every point's
    policy_channels: int = 16  # 1x1 convolution before the policy's linear layer
    value_channels: int = 8  # 1x1 convolution before the value's linear layers
    value_hidden: int = 64  # width of the value head's hidden layer
    value_head: Literal["scalar", "wdl"] = "scalar"  # "wdl": win, draw and loss as lc0; the value is P(win) - P(loss)
    # What operands of convolutions are rounded to. bfloat16: learning rounds everywhere, which is fast with AMX and on
    # a card and slower elsewhere; playing rounds with AMX. On a card playing always does.
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        at_least(self, 0, "blocks", "se", "pool_every")
        at_least(self, 1, "channels", "policy_channels", "value_channels", "value_hidden")

    @property
    def size_free(self) -> bool:
        """Whether no weight depends on the size of the board."""
        return self.policy_head == "convolutional" and self.value_pooling


@dataclass(frozen=True)
class SelfPlayConfig:
    """How games are played."""

    sims: int = 32  # simulations a move
    full_share: float = 1.0  # share of moves searched with `sims` and made policy targets (mcts_ext.playout_cap)
    fast_sims: int = 0  # simulations of the other moves, which only bring the game to its result
    games: int = 256  # games an iteration: between two publications of the network
    lanes: int = 64  # games in lockstep: the batch of the network; 0 = measured when a run starts
    groups: int = 0  # of so many games in a worker; one searches while the network answers another; 0 = 1, on a card 2
    threads: int = 0  # of a worker's search; 0 = 1, beside a card 4
    temperature: float = 1.0  # of the move choice in the first `temperature_plies`
    temperature_plies: int = 12  # afterwards the search's best move is played, and its root gets no noise
    temperature_half_life: float = 0.0  # plies in which it halves instead (KataGo); 0 = it stays, then ends
    cache: int = 0  # positions whose evaluation a worker remembers, of each size
    end_when_proven: bool = False  # with search.solver: a game ends, with its true result, once the search proved it
    resign_false_rate: float = 0.0  # players resign, this share wrongly (AlphaGo Zero: 0.05); 0 = nobody does
    resign_moves: int = 3  # so many of a player's own searches in a row must look lost
    resign_play_on: float = 0.1  # share of games played to their end all the same, to measure what is wrong
    # Moves that alpha-beta may try to prove a position of an ended game (mcts_ext.endgame); 0 = none. Not with superko.
    proof_moves: int = 0
    random_plies: int = 0  # games start with up to this many uniformly random moves, for diversity
    # Other sizes of the run's game -> share of the games that are played on them, as {7 = 0.3, "5?komi=24.5" = 0.1};
    # the rest is played on its own. For size-free networks. Each size has `lanes` games in lockstep.
    sizes: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least(self, 1, "sims", "games", "resign_moves")
        at_least(self, 0, "temperature", "temperature_plies", "temperature_half_life", "cache", "proof_moves")
        at_least(self, 0, "random_plies", "lanes", "groups", "threads")
        within(self, 0, self.sims, "fast_sims")
        within(self, 0, 1, "resign_false_rate", "resign_play_on")
        if not 0 < self.full_share <= 1:
            raise SettingError("full_share", self.full_share, "must be above 0, at most 1")
        if not (all(share >= 0 for share in self.sizes.values()) and sum(self.sizes.values()) < 1):
            raise SettingError("sizes", self.sizes, "must be shares of 0 or more, below 1 together")


@dataclass(frozen=True)
class ReplayConfig:
    """Which positions the learner sees. The window grows with the positions made, as a power (KataGo,
    arXiv 1902.10565, section 2.4 and its SelfplayTraining.md): w(n) = min + scale ((n/min)^power - 1) min / power."""

    window_min: int = 20_000  # positions; below this the window holds everything
    window_power: float = 0.65
    window_scale: float = 0.8  # slope of the window where it starts to bend
    window_max: int = 5_000_000
    samples_per_position: float = 4.0  # samples that the learner takes for each position of the games
    surprise_share: float = 0.0  # of the samples, given to positions by how far the search left the prior (KataGo: 0.5)
    value_lambda: float = 0.9  # value targets are lambda-returns: 1 = the game's result, 0 = the search's value alone

    def __post_init__(self) -> None:
        at_least(self, 1, "window_min", "window_max")
        within(self, 0, 1, "window_power", "window_scale", "surprise_share", "value_lambda")
        if not self.samples_per_position > 0:
            raise SettingError("samples_per_position", self.samples_per_position, "must be more than 0")


@dataclass(frozen=True)
class LearnerConfig:
    """How the network is fitted to the games."""

    optimizer: Literal["sgd", "adam", "adamw", "muon"] = "sgd"  # muon (Jordan et al. 2024): for the blocks' filters
    batch: int = 256
    lr: float = 0.02
    momentum: float = 0.9  # of SGD; Adam uses its customary 0.9 and 0.999, Muon 0.95
    weight_decay: float = 1e-4  # L2 coefficient c of the paper's loss for SGD and Adam, decoupled for AdamW and Muon
    schedule: Literal["cosine", "drops", "constant"] = "cosine"  # how the rate falls from `lr` as the budget is spent
    final_lr: float = 0.1  # share of `lr` at the end: of the cosine, or behind the last of the drops
    drops: tuple[float, ...] = (0.5, 0.75, 0.9)  # shares of the budget at which the rate drops, each time by one factor
    warmup_steps: int = 0  # the rate rises from 0 over so many first steps
    value_weight: float = 1.0  # of the value loss beside the policy loss
    reply_weight: float = 0.0  # of the auxiliary loss for the opponent's reply (KataGo: 0.15); 0 = no such head
    soft_policy_weight: float = 0.0  # for the policy to the power 1/4, renormalised (KataGo: 8)
    moves_left_weight: float = 0.0  # for the plies to the end of the game, as played (lc0)
    ownership_weight: float = 0.0  # for who owns each point at the end, in games that are counted (KataGo: 1.5)
    score_weight: float = 0.0  # for the margin at the end, in such games
    gradient_clip: float = 5.0  # L2 norm; 0 = none
    # Workers play on while the learner learns from the games before, so that neither waits for the other. The network
    # that plays is one iteration older then.
    concurrent: bool = False
    # With several learners (zero train --learners): 0 = they share every batch and step together. More: each takes
    # batches of its own at its own pace, and a gradient more than this many steps old is dropped.
    max_staleness: int = 0
    ema: float = 0.0  # decay per step of the averaged weights that are published; 0 = publish the raw ones
    swa: float = 0.0  # last share of the budget, from whose start on the published weights are the mean of all since
    # (stochastic weight averaging, Izmailov et al. 2018, over the steps)

    def __post_init__(self) -> None:
        at_least(self, 1, "batch")
        at_least(self, 0, "weight_decay", "value_weight", "gradient_clip", "max_staleness")
        at_least(self, 0, "reply_weight", "soft_policy_weight", "moves_left_weight", "ownership_weight", "score_weight")
        at_least(self, 0, "warmup_steps")
        within(self, 0, 1, "momentum", "final_lr", "ema", "swa")
        if not self.lr > 0:
            raise SettingError("lr", self.lr, "must be more than 0")
        if self.schedule == "drops" and not (
            self.drops and list(self.drops) == sorted(set(self.drops)) and all(0 < share < 1 for share in self.drops)
        ):
            raise SettingError("drops", self.drops, "must be ascending shares of the budget between 0 and 1")
        if self.max_staleness and self.optimizer == "muon":
            raise SettingError("max_staleness", self.max_staleness, "muon needs whole matrices: take another optimizer")
        if self.ema and self.swa:
            raise SettingError("swa", self.swa, "averages the weights that ema averages already; choose one")


@dataclass(frozen=True)
class GateConfig:
    """The gatekeeper: a network plays only once it has beaten the one before (Silver et al. 2017, Methods)."""

    games: int = 0  # of the match with the network that plays; 0 = every network plays (the paper: 400)
    every: int = 1  # iterations between such matches
    sims: int = 32  # simulations a move in them (the paper: 1600)
    threshold: float = 0.55  # points a game that the newer network needs
    sprt: bool = False  # decide as soon as the games allow: sequential test of 35 Elo, as in Leela Zero

    def __post_init__(self) -> None:
        at_least(self, 0, "games", "sims")
        at_least(self, 1, "every")
        within(self, 0, 1, "threshold")


@dataclass(frozen=True)
class BudgetConfig:
    """When the run ends: at the first of these that is set (0 = not set)."""

    minutes: float = 0.0
    games: int = 0
    steps: int = 0

    def __post_init__(self) -> None:
        at_least(self, 0, "minutes", "games", "steps")


@dataclass(frozen=True)
class MatchConfig:
    """The match at the end of a run; 0 games = none."""

    games: int = 100
    opponent: str = "mcts:1000"
    sims: int = 100  # of the trained player

    def __post_init__(self) -> None:
        at_least(self, 0, "games", "sims")


@dataclass(frozen=True)
class Config:
    """Everything that decides a run, but the machine."""

    game: str = "connect4"
    seed: int = 1
    network: NetworkConfig = field(default_factory=NetworkConfig)
    search: SearchOptions = field(default_factory=SearchOptions)
    selfplay: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    match: MatchConfig = field(default_factory=MatchConfig)

    def __post_init__(self) -> None:
        if self.selfplay.sizes and not self.network.size_free:
            rule = "needs network.policy_head = 'convolutional' and network.value_pooling = true"
            raise SettingError("selfplay.sizes", self.selfplay.sizes, rule)


def load(path: str | Path, overrides: list[str] = ()) -> Config:
    """Reads a TOML file and applies overrides of the form `--section.key value` or `--section.key=value`.

    Raises `UserError` when the file is missing or malformed or a setting is unknown or wrong.
    """
    try:
        text = Path(path).read_text()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path}: not valid TOML: {error}") from None
    config = from_table(Config, table, str(path))
    if not overrides:
        return config
    return from_table(Config, merged(to_table(config), parse_overrides(overrides)), "command line")


def parse_overrides(words: list[str]) -> dict:
    """`["--search.sims", "8"]` -> `{"search": {"sims": 8}}`; a value is read as TOML, or else as a string."""
    table: dict = {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UserError(f"unexpected argument '{word}'")
        name, given, value = word[2:].partition("=")
        if not given:
            if not words:
                raise UserError(f"{word}: needs a value")
            value = words.pop(0)
        *sections, key = name.replace("-", "_").split(".")
        inner = table
        for section in sections:
            inner = inner.setdefault(section, {})
        try:
            inner[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            inner[key] = value
    return table


def merged(base: dict, changes: dict) -> dict:
    both = dict(base)
    for key, value in changes.items():
        both[key] = merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return both


def from_table(cls: type, table: dict, where: str, prefix: str = "") -> Any:
    """Builds the dataclass `cls` from a nested dict, refusing what it does not know."""
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(cls)]
    values = {}
    for key, value in table.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean '{prefix}{close[0]}'?" if close else f"known are {', '.join(known)}"
            raise UserError(f"{where}: unknown setting '{prefix}{key}'; {hint}")
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise UserError(f"{where}: {prefix}{key} = {value!r}: must be a table [{prefix}{key}]")
            values[key] = from_table(hints[key], value, where, f"{prefix}{key}.")
        else:
            values[key] = typed(hints[key], value, f"{where}: {prefix}{key}")
    try:
        return cls(**values)
    except SettingError as error:
        raise UserError(f"{where}: {prefix}{error}") from None
    except ValueError as error:  # sections of other packages, such as SearchOptions, raise plain ValueErrors
        raise UserError(f"{where}: {prefix.rstrip('.')}: {error}") from None


def typed(hint: Any, value: Any, what: str) -> Any:
    """`value` as the type `hint` asks for, or `UserError`."""
    origin, choices = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in choices:
            return value
        raise UserError(f"{what} = {value!r}: must be one of {', '.join(map(str, choices))}")
    if origin in (typing.Union, types.UnionType):
        for choice in choices:
            try:
                return typed(choice, value, what)
            except UserError:
                continue
        raise UserError(f"{what} = {value!r}: must be {hint}")
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(typed(choices[0], item, what) for item in value)
        raise UserError(f"{what} = {value!r}: must be a list")
    if origin is dict:
        if isinstance(value, dict):
            return {key: typed(choices[1], item, f"{what}.{key}") for key, item in value.items()}
        raise UserError(f"{what} = {value!r}: must be a table")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is type(None) and value is None:
        return None
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", str: "a string in quotes", bool: "true or false"}
    raise UserError(f"{what} = {value!r}: must be {names.get(hint, hint)}")


def to_table(config: Any) -> dict:
    """The nested dict of a config, without values that TOML cannot say (None)."""
    return {
        key: to_table(value) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value
        for key, value in (dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config).items()
        if value is not None
    }


def changes(section: Any) -> dict:
    """The settings of a section that are not the defaults, as `to_table` writes them."""
    usual = to_table(type(section)())
    return {key: value for key, value in to_table(section).items() if value != usual.get(key)}


def dumps(config: Config) -> str:
    """The config as TOML text; `from_table(Config, tomllib.loads(dumps(c)), ...) == c`."""
    import tomli_w

    return tomli_w.dumps(to_table(config))
