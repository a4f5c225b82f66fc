"""Games to step through in the browser: the positions go along as strings, so that no rules are needed there."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcts_ext.state import Game, State
from zero.report.page import escape

SCRIPT = (Path(__file__).parent / "viewer.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Frame:
    """A position: stones as digits row by row, the point of the last move (-1: none), a line of text."""

    stones: str
    last: int
    note: str


def frames(start: State, actions: Sequence[int], notes: Sequence[str] = ()) -> list[Frame]:
    """The position before the first move and after each one; `notes[k]` goes below move k's."""
    game, state = start.game, start.copy()
    shown = [Frame(_digits(state), -1, "start")]
    for number, action in enumerate(actions):
        before = state.stones().ravel()
        state.play(action)
        after = state.stones().ravel()
        new = [k for k in range(len(after)) if after[k] and not before[k]]
        note = f"{number + 1}. {game.action_to_text(action)}"
        if number < len(notes) and notes[number]:
            note += f"   {notes[number]}"
        shown.append(Frame(_digits(state), new[0] if len(new) == 1 else -1, note))
    return shown


def _digits(state: State) -> str:
    return "".join(map(str, state.stones().ravel().tolist()))


def viewer(game: Game, shown: Sequence[Frame], caption: str, start: int = 0) -> str:
    """A board with buttons and arrow keys; the page needs `SCRIPT` once."""
    data = json.dumps({"rows": game.rows, "cols": game.cols, "geometry": game.geometry, "start": start,
                       "frames": [vars(frame) for frame in shown]}).replace("</", "<\\/")
    return (f'<figure class="viewer"><figcaption>{escape(caption)}</figcaption><script type="application/json">{data}'
            '</script><svg></svg><div class="bar"><button class="first" aria-label="first">|◀</button>'
            '<button class="back" aria-label="back">◀</button><button class="next" aria-label="next">▶</button>'
            '<button class="last" aria-label="last">▶|</button><span class="note"></span></div></figure>')
