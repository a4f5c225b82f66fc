"""What the window remembers between starts: one JSON file in the platform's config folder."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs

APP = "zero"
SCALES = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0)


def default_language() -> str:
    names = [os.environ.get(v, "") for v in ("LC_ALL", "LC_MESSAGES", "LANG")]
    return "zh" if next((n for n in names if n), "").startswith("zh") else "en"


@dataclass
class Settings:
    """Every field has a plain JSON type."""

    theme: str = "dark"
    language: str = ""
    scale: float = 1.0
    sound: bool = True
    coordinates: bool = True
    motion: bool = True
    confirm: bool = False
    analysis_sims: int = 800
    width: int = 1180
    height: int = 800
    game: str = "connect4"
    players: tuple[str, str] = ("human", "")  # "": the best there is for the game
    analyst: str = "mcts:1000"  # whose thoughts are shown when two humans play

    def __post_init__(self):
        self.language = self.language or default_language()
        self.players = tuple(self.players)


def config_path() -> Path:
    return platformdirs.user_config_path(APP) / "window.json"


def autosave_folder() -> Path:
    return platformdirs.user_state_path(APP) / "games"


def load(path: Path | None = None) -> Settings:
    """The saved settings; unknown or ill-typed ones fall back to the defaults, and so does a broken file."""
    try:
        saved = json.loads((path or config_path()).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Settings()
    defaults = Settings()
    good = {}
    for field in fields(Settings):
        value = saved.get(field.name) if isinstance(saved, dict) else None
        expected = type(getattr(defaults, field.name))
        if isinstance(value, list):
            value = tuple(value)
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is expected:
            good[field.name] = value
    return Settings(**good)


def save(settings: Settings, path: Path | None = None) -> None:
    """Writes the file in one step; a folder that cannot be written is no reason to stop a game."""
    write_whole(path or config_path(), json.dumps(asdict(settings), indent=1))


def write_whole(path: Path, text: str) -> bool:
    """Writes to a temporary name, then renames; returns whether it worked."""
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        return False
    return True
