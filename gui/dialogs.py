"""Sheets over a screen: settings, keys, files, a question."""

from collections.abc import Callable
from pathlib import Path

import pygame

from gui import rects
from gui.settings import SCALES, autosave_folder
from gui.strings import LANGUAGES, STRINGS
from gui.theme import THEMES
from gui.widgets import Rect, Ui


def sheet(ui: Ui, width: int, height: int, title: str) -> Rect:
    """Darkens the window and opens a framed sheet; returns the room inside, below the title."""
    px, theme = ui.style.px, ui.style.theme
    ui.modal()
    window = ui.surface.get_rect()
    shade = pygame.Surface(window.size, pygame.SRCALPHA)
    shade.fill((0, 0, 0, 150))
    ui.surface.blit(shade, (0, 0))
    rect = Rect(0, 0, min(px(width), window.w - px(16)), min(px(height), window.h - px(16)))
    rect.center = window.center
    ui.box(rect, theme.panel, 10, theme.border)
    inner = rect.inflate(-px(40), -px(36))
    ui.label(rects.top(inner, px(28), px(12)), title, "title", bold=True)
    return inner


class Dialog:
    """Closes with Escape. Subclasses draw."""

    def __init__(self, app):
        self.app = app

    def close(self) -> None:
        self.app.dialog = None

    def handle(self, event) -> bool:
        if event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE:
            self.close()
            return True
        return False


class KeySheet(Dialog):
    def draw(self, ui: Ui) -> None:
        keys = [key for key in STRINGS if key.startswith("keys.") and key != "keys.title"]
        px, half = ui.style.px, (len(keys) + 1) // 2
        rect = sheet(ui, 880, 140 + 28 * half, ui.t("keys.title"))
        ui.button("close", rects.bottom(rect, px(34), px(8)), ui.t("do.close"), self.close, primary=True)
        for column, cell in enumerate(rects.columns(rect, 2, px(20))):
            for key in keys[column * half:(column + 1) * half]:
                ui.label(rects.top(cell, px(28)), ui.t(key))


class Confirm(Dialog):
    """Asks before something that cannot be taken back lightly."""

    def __init__(self, app, question: str, yes: Callable[[], None]):
        super().__init__(app)
        self.question, self.yes = question, yes

    def _agree(self) -> None:
        self.close()
        self.yes()

    def handle(self, event) -> bool:
        if event.type == pygame.KEYDOWN and event.key == pygame.K_RETURN:
            self._agree()
            return True
        return super().handle(event)

    def draw(self, ui: Ui) -> None:
        px = ui.style.px
        rect = sheet(ui, 320, 130, ui.t(self.question) + "?")
        left, right = rects.columns(rects.bottom(rect, px(36)), 2, px(8))
        ui.button("no", left, ui.t("do.cancel"), self.close)
        ui.button("yes", right, ui.t(self.question), self._agree, primary=True)


class Notice(Dialog):
    """Something that went wrong, in one sentence."""

    def __init__(self, app, key: str, **values):
        super().__init__(app)
        self.key, self.values = key, values

    def handle(self, event) -> bool:
        if event.type == pygame.KEYDOWN and event.key in (pygame.K_RETURN, pygame.K_ESCAPE):
            self.close()
            return True
        return False

    def draw(self, ui: Ui) -> None:
        px = ui.style.px
        rect = sheet(ui, 560, 190, "Zero")
        ui.button("close", rects.bottom(rect, px(36), px(8)), ui.t("do.close"), self.close, primary=True)
        for line in ui.style.wrap(ui.t(self.key, **self.values), rect.w):
            ui.label(rects.top(rect, px(22)), line)


class SettingsSheet(Dialog):
    def draw(self, ui: Ui) -> None:
        px, t, settings = ui.style.px, ui.t, self.app.settings
        rect = sheet(ui, 460, 480, t("settings.title"))
        ui.button("close", rects.bottom(rect, px(36), px(8)), t("do.close"), self.close, primary=True)

        def row(key: str) -> Rect:
            line = rects.top(rect, px(34), px(8))
            ui.label(rects.left(line, px(200)), t(key))
            return line

        ui.choice("theme", row("settings.theme"), [(name, t(f"settings.{name}")) for name in THEMES], settings.theme,
                  lambda v: self.app.change_settings(theme=v))
        ui.choice("language", row("settings.language"), list(LANGUAGES.items()), settings.language,
                  lambda v: self.app.change_settings(language=v))
        ui.choice("scale", row("settings.scale"), [(s, f"{s:.0%}") for s in SCALES], settings.scale,
                  lambda v: self.app.change_settings(scale=v))
        sims = [(n, str(n)) for n in (100, 200, 400, 800, 1600, 3200, 10000)]
        ui.choice("sims", row("settings.analysis"), sims, settings.analysis_sims,
                  lambda v: self.app.change_settings(analysis_sims=v))
        for name in ("sound", "coordinates", "motion", "confirm"):
            ui.toggle(name, rects.top(rect, px(30), px(4)), t(f"settings.{name}"), getattr(settings, name),
                      lambda v, name=name: self.app.change_settings(**{name: v}))


class FileDialog(Dialog):
    """A path to type, and the games that lie about to choose from. `mode`: open | save."""

    def __init__(self, app, mode: str, done: Callable[[Path], None], name: str = ""):
        super().__init__(app)
        self.mode, self.done, self.text = mode, done, name
        self.files = found_games() if mode == "open" else []

    def _finish(self) -> None:
        if self.text.strip():
            self.close()
            self.done(Path(self.text.strip()).expanduser())

    def _pick(self, index: int) -> None:
        self.text = str(self.files[index])
        self._finish()

    def draw(self, ui: Ui) -> None:
        px, t = ui.style.px, ui.t
        rect = sheet(ui, 560, 440 if self.mode == "open" else 180, t(f"file.{self.mode}"))
        if ui.focus is None:
            ui.focus = "path"
        ui.text_field("path", rects.top(rect, px(34), px(10)), self.text, self._edit, hint=t("file.hint"),
                      submit=self._finish)
        left, right = rects.columns(rects.bottom(rect, px(36), px(8)), 2, px(8))
        ui.button("cancel", left, t("do.cancel"), self.close)
        ui.button("done", right, t(f"do.{self.mode}"), self._finish, primary=True, enabled=bool(self.text.strip()))
        if self.mode == "open":
            ui.rows("files", rect, [(str(path),) for path in self.files], self._pick)

    def _edit(self, text: str) -> None:
        self.text = text


def found_games() -> list[Path]:
    """Game files here and in the autosave folder, newest first."""
    files = [p for folder in (Path(), Path("games"), autosave_folder()) for ending in ("*.sgf", "*.jsonl")
             for p in folder.glob(ending)]
    return sorted(files, key=lambda p: -p.stat().st_mtime)[:200]
