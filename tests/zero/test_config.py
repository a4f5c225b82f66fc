"""Settings: what is accepted, what is refused and with which words, and that a resolved file reads back."""

import tomllib

import pytest

from zero import config
from zero.config import Config
from zero.errors import UserError


def write(tmp_path, text):
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


def test_every_shipped_config_loads(request):
    shipped = sorted((request.config.rootpath / "configs").glob("*.toml"))
    assert shipped
    for path in shipped:
        assert config.load(path).game


def test_resolved_text_reads_back(tmp_path):
    loaded = config.load(write(tmp_path, 'game = "tictactoe"\n[learner]\nlr = 1\n'))
    assert loaded.learner.lr == 1.0 and isinstance(loaded.learner.lr, float)
    assert config.from_table(Config, tomllib.loads(config.dumps(loaded)), "again") == loaded


def test_overrides_win_over_the_file(tmp_path):
    path = write(tmp_path, "[selfplay]\nsims = 8\ngames = 5\n")
    loaded = config.load(path, ["--selfplay.sims", "64", "--game=tictactoe", "--learner.optimizer", "adamw"])
    assert (loaded.selfplay.sims, loaded.selfplay.games) == (64, 5)
    assert (loaded.game, loaded.learner.optimizer) == ("tictactoe", "adamw")


@pytest.mark.parametrize(
    "text, words",
    [
        ("[selfplay]\nsimms = 3\n", ["c.toml", "selfplay.simms", "did you mean 'selfplay.sims'"]),
        ("[selfplay]\nsims = -4\n", ["c.toml", "selfplay.sims = -4", "must be 1 or more"]),
        ("[selfplay]\nsims = 1.5\n", ["selfplay.sims = 1.5", "whole number"]),
        ("[selfplay]\nsims = true\n", ["selfplay.sims = True", "whole number"]),
        ("selfplay = 3\n", ["selfplay = 3", "table"]),
        ("[learner]\noptimizer = 'adagrad'\n", ["learner.optimizer = 'adagrad'", "sgd", "adamw"]),
        ("[search]\nc_puct = -1\n", ["search", "c_puct", "0 or more"]),
        ("[learner]\nlr = nan\n", ["learner.lr"]),
        ("game = \n", ["c.toml", "not valid TOML"]),
    ],
)
def test_wrong_settings_are_named(tmp_path, text, words):
    with pytest.raises(UserError) as caught:
        config.load(write(tmp_path, text))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="none.toml: No such file"):
        config.load(tmp_path / "none.toml")


@pytest.mark.parametrize("words", [["--selfplay.sims"], ["stray"], ["--nothing.here", "1"]])
def test_wrong_overrides_are_refused(tmp_path, words):
    with pytest.raises(UserError):
        config.load(write(tmp_path, ""), words)
