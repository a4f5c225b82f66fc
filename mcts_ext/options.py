"""The options of a search. Frozen: a search never changes its mind; make another with `dataclasses.replace`."""
from dataclasses import dataclass, fields
from typing import Literal


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

    # The machine.
    memory: int = 1 << 30
    """Bytes of one tree at most; when they are used up the tree grows no more, and the search goes on in it. 0: no
    limit."""

    def __post_init__(self):
        for name in ("c_puct_base", "c_visit"):
            if not getattr(self, name) > 0:
                raise ValueError(f"search.{name} = {getattr(self, name)}: must be more than 0")
        for name in ("c_puct", "c_puct_factor", "noise_alpha", "gumbel_scale", "c_scale", "memory"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"search.{name} = {getattr(self, name)}: must be 0 or more")
        if not 0 <= self.noise_fraction <= 1:
            raise ValueError(f"search.noise_fraction = {self.noise_fraction}: must be from 0 to 1")
        if self.gumbel_actions < 1:
            raise ValueError(f"search.gumbel_actions = {self.gumbel_actions}: must be 1 or more")
        for name, choices in (("root", ("puct", "gumbel")), ("interior", ("puct", "gumbel")),
                              ("fpu", ("parent", "absolute"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"search.{name} = {getattr(self, name)!r}: must be one of {', '.join(choices)}")


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
