"""The options of a search. Frozen: a search never changes its mind; make another with `dataclasses.replace`."""
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class SearchOptions:
    """Every option with its default and where it comes from. Values are in [-1, 1], seen by the player to move."""

    # How the root chooses what to look into.
    root: Literal["puct", "gumbel"] = "puct"
    """puct: PUCT with noise, the policy target is the visit counts (Silver et al. 2017, AlphaGo Zero, Methods).
    gumbel: sequential halving over actions sampled without replacement, the policy target is the improved policy of
    completed Q values (Danihelka et al. 2022, "Policy improvement by planning with Gumbel", section 3)."""

    interior: Literal["puct", "gumbel"] = "puct"
    """How the other nodes choose. gumbel: deterministically, so that visits follow the improved policy (ibid., section
    5)."""

    # PUCT (Rosin 2011; Silver et al. 2017): argmax of Q + c * P * sqrt(N) / (1 + n).
    c_puct: float = 1.25
    """c_init of AlphaZero's pseudocode (Silver et al. 2018, supplement)."""
    c_puct_factor: float = 0.0
    """c grows with the visits N of the node: c = c_puct + factor * log((1 + N + base) / base). 1 in AlphaZero's
    pseudocode, 0.45 in KataGo. 0: constant."""
    c_puct_base: float = 19652.0
    """See c_puct_factor. 19652 in AlphaZero's pseudocode, 500 in KataGo."""
    c_puct_stdev: float = 0.0
    """c is multiplied by 1 + c_puct_stdev * (s / stdev_prior - 1), s the standard deviation of the node's values: more
    exploration where values differ (KataGo, KataGoMethods, "Dynamic variance-scaled cPUCT"; 0.85 there). 0: off."""
    stdev_prior: float = 0.4
    """What s is taken to be before values come, and the s that leaves c alone. KataGo 0.4."""
    stdev_prior_visits: float = 2.0
    """How many values that assumption weighs. KataGo 2."""
    fpu: Literal["parent", "absolute"] = "parent"
    """First-play urgency (Gelly & Wang 2006), the Q of an action never visited. parent: the node's own mean value less
    fpu_value * sqrt(prior mass of the visited actions) (Leela Zero, KataGo). absolute: fpu_value."""
    fpu_value: float = 0.2
    """See fpu. 0.2 is KataGo's reduction; AlphaZero's pseudocode is absolute -1, AlphaGo Zero absolute 0."""
    root_fpu_value: float = 0.2
    """The same at the root. KataGo 0.1; 0 explores more where noise is to be tried."""

    # Noise at the root, for self-play. Mixed in when a search is started with noise=True.
    noise_fraction: float = 0.25
    """epsilon: P = (1 - epsilon) * prior + epsilon * Dirichlet (Silver et al. 2017). Used by root = "puct"."""
    noise_alpha: float = 0.0
    """Concentration of the Dirichlet noise. 0: 10.83 / (number of legal actions), which gives AlphaZero's 0.03 at Go
    and about its 0.3 at chess (KataGo)."""

    noise_shaped: bool = False
    """Half of the concentration goes where the prior stands out (KataGo, KataGoMethods, "Shaped Dirichlet noise")."""
    forced_playouts: float = 0.0
    """k: with noise, a visited action of the root gets at least sqrt(k * P * N) visits; the policy target is freed of
    those that its value did not earn (Wu 2019, "Accelerating self-play learning in Go", section 3.2; k = 2 there). Used
    by root = "puct". 0: off."""

    # Gumbel.
    gumbel_actions: int = 16
    """Actions considered at the root at most (ibid., m = 16)."""
    gumbel_scale: float = 1.0
    """Scale of the Gumbel noise of a search started with noise=True; without noise it is 0."""
    c_visit: float = 50.0
    """sigma(q) = (c_visit + max visits) * c_scale * q, q in [0, 1] (ibid., equation 8)."""
    c_scale: float = 1.0
    """See c_visit. 1 in the paper for board games, 0.1 in mctx (which has rescale_q)."""
    rescale_q: bool = False
    """Stretch the completed Q of a node to [0, 1] before sigma, as mctx does by default."""

    # What the tree knows.
    solver: bool = False
    """Proven wins, draws and losses are backed up, lost actions passed over, a search ends when its root is solved, and
    the policy target leaves out actions proven worse (Winands et al. 2008, "Monte-Carlo tree search solver"; bounds as
    in Cazenave & Saffidine 2010)."""
    proof_moves: int = 0
    """With solver: moves that alpha-beta may try at each new node to prove its value by the rules alone; where it does,
    the network is not asked (Baier & Winands 2013, "Monte-Carlo tree search and minimax hybrids"). Positions of equal
    hash count as one, so not for games with superko. 0: off."""
    transpositions: bool = False
    """A position reached at the same ply by several orders of moves is one node (Czech et al. 2021; Wu 2023,
    "Monte-Carlo graph search from first principles"). Positions are told apart by their hash, so that history which
    the hash does not know is that of the first path."""

    # The choice of the move when no temperature is asked for.
    choose: Literal["visits", "lcb"] = "visits"
    """visits: the most visited action. lcb: the largest lower confidence bound of the value (Leela Zero pull request
    883, KataGo). root = "gumbel" has its own choice, the winner of sequential halving."""
    lcb_stdevs: float = 5.0
    """Standard errors below the mean. KataGo 5."""
    lcb_visits: float = 0.15
    """Only actions with this share of the most visited one's visits. KataGo 0.15."""

    # Evaluation.
    leaves: int = 1
    """Leaves of one tree in a batch. More fill the batch when there are few games, and make the search a little
    worse."""
    virtual_loss: float = 1.0
    """Losses that an evaluation under way counts as while it is (Chaslot et al. 2008, Silver et al. 2016). 0: only its
    visit counts (WU-UCT, Liu et al. 2020)."""
    symmetry: Literal["none", "random", "average"] = "none"
    """random: each leaf is shown in a random symmetry of the game (Silver et al. 2017). average: in all of them, and
    the answers are averaged; the batch grows by their number."""
    rollout_weight: float = 0.0
    """lambda: a leaf's value is (1 - lambda) * network + lambda * one random game (Silver et al. 2016, AlphaGo; 0.5
    there)."""

    # The machine.
    memory: int = 1 << 30
    """Bytes of one tree at most; when they are used up the tree grows no more, and the search goes on in it. 0: no
    limit."""

    def __post_init__(self):
        for name in ("c_puct_base", "c_visit", "stdev_prior"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "more than 0")
        for name in ("c_puct", "c_puct_factor", "c_puct_stdev", "stdev_prior_visits", "noise_alpha", "forced_playouts",
                     "gumbel_scale", "c_scale", "lcb_stdevs", "virtual_loss", "memory",
                     "proof_moves"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in ("noise_fraction", "lcb_visits", "rollout_weight", "c_puct_stdev"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("gumbel_actions", "leaves"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        for name, annotation in get_type_hints(type(self)).items():
            if get_origin(annotation) is Literal:
                choices = get_args(annotation)
                _require(name, repr(getattr(self, name)), getattr(self, name) in choices, " or ".join(choices))


def _require(name: str, value, holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"search.{name} = {value}: must be {what}")


def as_options(options) -> SearchOptions:
    """SearchOptions from None, a mapping or SearchOptions. Raises ValueError naming an unknown option."""
    if options is None:
        return SearchOptions()
    if isinstance(options, SearchOptions):
        return options
    known = [field.name for field in fields(SearchOptions)]
    for name in options:
        if name not in known:
            raise ValueError(f"search.{name}: unknown option; known: {', '.join(known)}")
    return SearchOptions(**options)
