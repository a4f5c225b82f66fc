"""Windows without a screen, settings in a folder of their own, a fake engine in place of the real one."""

import pytest
from window_driver import Driver, fake_command


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A config and state folder of the test's own, and the working folder; no networks came along."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("gui.players.NETS", tmp_path / "nets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def window(home):
    """`window(mode="good", what="connect4", **settings)` opens a window and returns its driver."""
    from gui.app import App, opening
    from gui.settings import Settings

    opened = []

    def open_window(what: str | None = "connect4", mode: str = "good", extra: tuple = (), **settings) -> Driver:
        chosen = Settings(**{"language": "en", "sound": False, "motion": False, **settings})
        app = App(chosen, command=fake_command(mode, *extra))
        opened.append(app)
        opening(app, what)
        driver = Driver(app)
        driver.step()
        return driver

    yield open_window
    for app in opened:
        app.close()
