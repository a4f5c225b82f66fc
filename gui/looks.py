"""What the families of games look like, and which settings they have."""

import re
from dataclasses import dataclass

from gui.theme import Colour

BLACK, WHITE = (26, 26, 28), (238, 236, 230)
RED, YELLOW, BLUE = (214, 58, 50), (246, 196, 52), (40, 104, 208)


@dataclass(frozen=True)
class RuleSet:
    """`name`: its key in the string table behind `ruleset.` (in the chooser) and `rules.` (a line beside the board);
    `settings`: what the game gets."""

    name: str
    settings: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Look:
    """`board`: wood | felt | plain | chequer | plastic | hex; `pieces`: stones | discs | marks | pawns.

    `sides`: keys of the colour names in the string table, first player first. `emblems`: the pattern each side's piece
    bears, so that colour is never the only difference.
    """

    board: str
    pieces: str
    sides: tuple[str, str]
    colours: tuple[Colour, Colour]
    emblems: tuple[str, str] = ("", "")
    sizes: tuple[int, ...] = ()
    komi: bool = False
    rules: tuple[RuleSet, ...] = (RuleSet("other"),)  # the usual ones first


LOOKS = {
    "go": Look("wood", "stones", ("black", "white"), (BLACK, WHITE), sizes=(5, 7, 9, 13, 19), komi=True,
               rules=(RuleSet("go"), RuleSet("tromp_taylor", (("rules", "tromp-taylor"),)),
                      RuleSet("simple_ko", (("ko", "simple"),)))),
    "gomoku": Look("wood", "stones", ("black", "white"), (BLACK, WHITE), sizes=(9, 15),
                   rules=(RuleSet("gomoku"), RuleSet("exact_five", (("exact", True),)),
                          RuleSet("swap2", (("opening", "swap2"),)))),
    "othello": Look("felt", "discs", ("black", "white"), (BLACK, WHITE), sizes=(6, 8, 10), rules=(RuleSet("othello"),)),
    "hex": Look("hex", "discs", ("red", "blue"), (RED, BLUE), ("bar", "ring"), sizes=(5, 7, 9, 11, 13),
                rules=(RuleSet("hex"), RuleSet("hex_swap", (("swap", True),)))),
    "connect4": Look("plastic", "discs", ("red", "yellow"), (RED, YELLOW), ("ring", "star"),
                     rules=(RuleSet("connect4"),)),
    "tictactoe": Look("plain", "marks", ("cross", "nought"), (BLUE, RED), rules=(RuleSet("tictactoe"),)),
    "breakthrough": Look("chequer", "pawns", ("white", "black"), (WHITE, BLACK), sizes=(5, 6, 8),
                         rules=(RuleSet("breakthrough"),)),
}
OTHER = Look("plain", "discs", ("first", "second"), (BLUE, YELLOW), ("ring", "star"))


def family(game: str) -> str:
    """`go` of `go9`, `connect4` of `connect4`; the whole name for a game we do not know."""
    match = re.fullmatch(r"(connect4|tictactoe|gomoku|go|othello|hex|breakthrough)(-?[\d?].*)?", game)
    return match[1] if match else game


def look(game: str) -> Look:
    return LOOKS.get(family(game), OTHER)
