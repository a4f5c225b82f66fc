"""The window itself: the loop that waits for events, the present screen, dialogs, settings.

The loop sleeps until an event or a deadline; engine threads wake it.
"""

import threading
import time
from pathlib import Path

import pygame

from gui import dialogs, record, settings
from gui.chooser import Chooser
from gui.engine import analysis_command
from gui.game_screen import GameScreen
from gui.model import HUMAN, Match, Setup, Side
from gui.players import ROLLOUTS, Known, network_game, run_of
from gui.session import Command, Engines
from gui.settings import SCALES, Settings, autosave_folder
from gui.sounds import Sounds
from gui.strings import Translator
from gui.theme import THEMES, Style
from gui.widgets import Ui

FRAME = 1 / 60
LONGEST_SLEEP = 5.0
LOOKS = 0.004, 0.03  # seconds between looks for input: just after some, and after a second without any
SHOWN_SETTINGS = ("theme", "scale", "language")
LEAST_SIZE = (800, 600)  # design pixels that every screen finds room in


class App:
    """`command` makes the command line of an engine process from (player, game): tests put in their own."""

    def __init__(self, chosen: Settings | None = None, command: Command = analysis_command):
        self.settings = chosen or settings.load()
        pygame.display.init()
        pygame.font.init()
        pygame.display.set_caption("Zero")
        pygame.display.set_mode((self.settings.width, self.settings.height), pygame.RESIZABLE)
        pygame.key.set_repeat(350, 40)
        pygame.key.start_text_input()
        self._woken = threading.Event()
        self.engines = Engines(self._woken.set, command)
        self.ui = Ui(Style())
        self.sounds = Sounds()
        self.dialog: dialogs.Dialog | None = None
        self.running, self.dirty = True, True
        self.frame_times: list[float] = []
        self._last_input = 0.0
        self._control = False  # whether Ctrl is held
        self._apply_settings()
        self.recoverable = self._autosave_path().exists()
        self.screen = Chooser(self)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        while self.running:
            self.step()
        self.close()

    def step(self, longest: float = LONGEST_SLEEP) -> None:
        """Waits for events or a deadline, answers them, draws if there is anything new."""
        started = time.perf_counter()
        moved = self._moves()
        events, woken = self._wait(self._patience(longest))
        waited = time.perf_counter()
        for event in events:
            self._handle(event)
        self.screen.update()
        if moved or events or woken or self._moves():  # what has just come to rest is drawn once more
            self.draw()
            self.frame_times.append(time.perf_counter() - waited)
            del self.frame_times[:-600]
        if self.screen.animating:
            time.sleep(max(0.0, FRAME - (time.perf_counter() - started)))

    def _wait(self, seconds: float) -> tuple[list[pygame.event.Event], bool]:
        """Sleeps until there are events, an engine thread has something, or the time is up. Returns the events and
        whether an engine did.

        `pygame.event.wait` looks a thousand times a second, which costs 2 % of a core; here the looks become rarer
        the longer nothing comes.
        """
        end = time.monotonic() + seconds
        while True:
            events, woken, now = pygame.event.get(), self._woken.is_set(), time.monotonic()
            if events:
                self._last_input = now
            if events or woken or now >= end:
                self._woken.clear()
                return events, woken
            pause = min(LOOKS[1], max(LOOKS[0], LOOKS[1] * (now - self._last_input)))
            self._woken.wait(min(end - now, pause))

    def _patience(self, longest: float) -> float:
        """Seconds that the loop may sleep."""
        if self.dirty or self.screen.animating:
            return 0.001
        deadline = self.screen.deadline()
        return longest if deadline is None else min(longest, max(0.001, deadline - time.monotonic()))

    def _moves(self) -> bool:
        """Whether the picture may change though no event comes."""
        return self.dirty or self.screen.animating or self.screen.deadline() is not None

    def draw(self) -> None:
        self.dirty = False
        self.ui.begin(pygame.display.get_surface())
        self.screen.draw(self.ui)
        if self.dialog:
            self.dialog.draw(self.ui)
        self.ui.finish()
        pygame.display.flip()

    # -- events ----------------------------------------------------------------------------------------------------

    def _handle(self, event) -> None:
        if event.type in (pygame.KEYDOWN, pygame.KEYUP):  # with Alt it is AltGr, which does write
            self._control = bool(event.mod & pygame.KMOD_CTRL) and not event.mod & pygame.KMOD_ALT
        if event.type == pygame.QUIT:
            self.running = False
        elif event.type == pygame.DROPFILE:
            self.load_game(Path(event.file))
        elif event.type == pygame.VIDEORESIZE:
            self.settings.width, self.settings.height = max(event.w, LEAST_SIZE[0]), max(event.h, LEAST_SIZE[1])
            self._apply_settings()
        elif event.type == pygame.TEXTINPUT and self._control:
            pass  # on some systems Ctrl and + is also the text "+"
        elif not (self.dialog and self.dialog.handle(event)) and not self.ui.handle(event):
            if not self._window_key(event) and not self.dialog:
                self.screen.handle(event)

    def _window_key(self, event) -> bool:
        """Keys that work on every screen."""
        if event.type == pygame.TEXTINPUT and event.text == "?":
            self.show_keys()
            return True
        if event.type != pygame.KEYDOWN:
            return False
        if event.key in (pygame.K_F1, pygame.K_F11):
            self.show_keys() if event.key == pygame.K_F1 else pygame.display.toggle_fullscreen()
            return True
        if not event.mod & pygame.KMOD_CTRL:
            return False
        scale = {pygame.K_PLUS: 1, pygame.K_EQUALS: 1, pygame.K_KP_PLUS: 1, pygame.K_MINUS: -1, pygame.K_KP_MINUS: -1}
        if event.key in scale:
            self._change_scale(scale[event.key])
        elif event.key == pygame.K_0:
            self.change_settings(scale=1.0)
        elif event.key == pygame.K_d:
            self.change_settings(theme="light" if self.settings.theme == "dark" else "dark")
        elif event.key == pygame.K_m:
            self.change_settings(sound=not self.settings.sound)
        elif event.key == pygame.K_q:
            self.running = False
        else:
            return False
        return True

    def _change_scale(self, by: int) -> None:
        nearest = min(range(len(SCALES)), key=lambda i: abs(SCALES[i] - self.settings.scale))
        self.change_settings(scale=SCALES[min(len(SCALES) - 1, max(0, nearest + by))])

    # -- what screens and dialogs ask for --------------------------------------------------------------------------

    def change_settings(self, **changes) -> None:
        for name, value in changes.items():
            setattr(self.settings, name, value)
        self._apply_settings()
        settings.save(self.settings)

    def _apply_settings(self) -> None:
        """The scale is the chosen one as far as the window has room for it."""
        style = self.ui.style
        room = min(have / least for have, least in zip(pygame.display.get_window_size(), LEAST_SIZE, strict=True))
        scale = max(SCALES[0], min(self.settings.scale, room))
        if (self.settings.theme, scale) != (style.theme.name, style.scale):
            self.ui.style = Style(THEMES[self.settings.theme], scale)
        self.ui.t = Translator(self.settings.language)
        self.dirty = True

    def start_game(self, setup: Setup) -> None:
        self.show_match(Match(setup))

    def show_match(self, match: Match) -> GameScreen:
        self.screen.close()
        self.screen = GameScreen(self, match)
        self.dirty = True
        return self.screen

    def show_chooser(self) -> None:
        self.screen.close()
        self.screen = Chooser(self)
        self.dirty = True

    def show_training(self, run: Path) -> None:
        from gui.training import TrainingScreen

        self.screen.close()
        self.screen = TrainingScreen(self, run)
        self.dirty = True

    def show_settings(self) -> None:
        self.dialog = dialogs.SettingsSheet(self)

    def show_keys(self) -> None:
        self.dialog = dialogs.KeySheet(self)

    def sound(self, name: str) -> None:
        if self.settings.sound:
            self.sounds.play(name)

    def load_game(self, path: Path) -> None:
        """Opens a file; what is wrong with it is said in the status line of the present game."""
        try:
            screen = self.show_match(record.load(path))
            screen.session.say("status.loaded", path=path)
        except (OSError, record.Unreadable) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.dialog = dialogs.Notice(self, "status.no_file", path=path, error=reason)

    # -- autosave --------------------------------------------------------------------------------------------------

    def _autosave_path(self) -> Path:
        return autosave_folder() / "unfinished.jsonl"

    def autosave(self, match: Match) -> None:
        """Every change is on disk at once; a finished game moves to a name of its own."""
        if match.over:
            stamp = time.strftime("%Y%m%d-%H%M%S")
            record.save(match, autosave_folder() / f"{match.setup.game}-{stamp}{record.suffix(match.setup)}")
            self._autosave_path().unlink(missing_ok=True)
        else:
            record.save(match, self._autosave_path())

    def recover(self) -> None:
        self.recoverable = False
        match = None
        try:
            match = record.load(self._autosave_path())
        except (OSError, record.Unreadable) as error:
            self.dialog = dialogs.Notice(self, "status.no_file", path=self._autosave_path(), error=error)
        if match:
            self.show_match(match)
            match.resume()

    def discard_recovery(self) -> None:
        self.recoverable = False
        self._autosave_path().unlink(missing_ok=True)

    def close(self) -> None:
        settings.save(self.settings)
        self.screen.close()
        self.engines.close()
        pygame.display.quit()


def opening(app: App, what: str | None) -> None:
    """Goes straight to a game, a run's player, or a file. Raises ValueError naming what is wrong."""
    if what is None:
        return
    path, file, run = Path(what), Path(what.partition("?")[0]), run_of(what)
    if run or file.suffix == ".safetensors":
        game = run.game if run else network_game(file)
        app.start_game(Setup(game, (Side(HUMAN), Side.of(what))))
    elif path.suffix.lower() in (".sgf", ".jsonl"):
        app.show_match(record.load(path))
    else:
        try:
            best = Known.here().best(what)
            app.start_game(Setup(what, _usual_sides(app.settings.players, what, best)))
        except ValueError as error:
            raise ValueError(f"'{what}' is no run, no network (.safetensors), no game file (.sgf, .jsonl), and {error}"
                             ) from None
        if best == ROLLOUTS:
            app.screen.session.say("status.no_network")


def _usual_sides(names: tuple[str, str], game: str, best: str) -> tuple[Side, Side]:
    """The players of the last game, as far as they play this one; a human against the best there is otherwise."""
    sides = tuple(Side.of(best if not name or _plays_another(name, game) else name) for name in names)
    return (Side(HUMAN), Side.of(best)) if all(side.human for side in sides) else sides


def _plays_another(player: str, game: str) -> bool:
    """Whether a player is a network of another game; those whose game is not known are not asked again."""
    run = run_of(player)
    return run.game != game if run else player.partition("?")[0].endswith(".safetensors")


def main(what: str | None = None, watch: bool = False) -> int:
    """Opens the window with a game (`go9`), a player (`runs/c4`, `net.safetensors`), a file (`x.sgf`), or the chooser;
    `watch`: the live view of that run's training.

    Raises ValueError or OSError for something that cannot be opened, RuntimeError where there is no screen.
    """
    try:
        app = App()
    except pygame.error as error:
        raise RuntimeError(f"no window can be opened: {error} (is there a screen? see DISPLAY, WAYLAND_DISPLAY)"
                           ) from error
    try:
        if watch and what:
            app.show_training(Path(what))
        else:
            opening(app, what)
    except (ValueError, OSError):
        app.close()
        raise
    app.run()
    return 0
