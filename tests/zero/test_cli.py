"""The command as people meet it: bad input gets one clear line and a non-zero exit, and nothing is overwritten."""

import json
import subprocess
import sys

import numpy as np
import pytest

from zero.cli import COMMANDS, main
from zero.config import NetworkConfig
from zero.games import make_game
from zero.network import Network, load_network, save_network

SMALL = NetworkConfig(blocks=1, channels=8, policy_channels=2, value_channels=2, value_hidden=4)


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(path, Network(make_game("tictactoe"), SMALL, np.random.default_rng(0)), "tictactoe")
    return path


def run(capsys, *argv):
    """(exit code, stdout, stderr) of a command."""
    try:
        code = main([str(word) for word in argv])
    except SystemExit as stop:
        code = stop.code
    out = capsys.readouterr()
    return code, out.out, out.err


def one_line(capsys, *argv):
    code, out, err = run(capsys, *argv)
    assert code not in (0, None) and not out
    assert err.count("\n") == 1 and "Traceback" not in err, err
    return err


def test_an_unknown_command_gets_a_suggestion(capsys):
    code, _, err = run(capsys, "trian")
    assert code == 2 and "did you mean 'train'" in err


def test_a_missing_config(capsys, tmp_path):
    assert "none.toml: No such file" in one_line(capsys, "train", tmp_path / "none.toml")


@pytest.mark.parametrize(
    "text, words",
    [
        ("game = [", "not valid TOML"),
        ("[selfplay]\nsimz = 1", "did you mean 'selfplay.sims'"),
        ('game = "conect4"\n[budget]\nsteps = 1', "did you mean 'connect4'"),
        ("", "no end: give --minutes"),
    ],
)
def test_a_wrong_config(capsys, tmp_path, text, words):
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert words in one_line(capsys, "train", path, "--run", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_directory_that_exists_is_left_alone(capsys, tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('game = "tictactoe"\n[budget]\nsteps = 1')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("mine")
    assert "nothing is overwritten" in one_line(capsys, "train", path, "--run", tmp_path / "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["precious"]


def test_resuming_what_is_no_run(capsys, tmp_path):
    assert "not a run directory" in one_line(capsys, "train", "--resume", tmp_path)


@pytest.mark.parametrize("player", ["nobody", "mcts:many", "runs/none", "missing.safetensors"])
def test_an_unknown_player(capsys, player):
    assert player in one_line(capsys, "match", player, "random", "--game", "tictactoe", "--games", "2")


def test_an_unknown_game_in_a_match(capsys):
    assert "did you mean 'connect4'" in one_line(capsys, "match", "random", "random", "--game", "connect5")


def test_a_network_of_another_game(capsys, net):
    err = one_line(capsys, "match", net, "random", "--game", "connect4", "--games", "2")
    assert "tictactoe" in err and "connect4" in err


def test_truncated_weights(capsys, net):
    for length in (0, 5, 100, net.stat().st_size - 1):
        broken = net.with_name(f"broken{length}.safetensors")
        broken.write_bytes(net.read_bytes()[:length])
        assert str(broken) in one_line(capsys, "match", broken, "random", "--games", "2")


def test_weights_of_another_shape(net):
    other = Network(make_game("tictactoe"), SMALL, np.random.default_rng(0))
    other.config = NetworkConfig(blocks=2, channels=8, policy_channels=2, value_channels=2, value_hidden=4)
    save_network(net, other, "tictactoe")
    from zero.errors import UserError

    with pytest.raises(UserError, match=r"net\.safetensors.*missing blocks\.1"):
        load_network(net, make_game("tictactoe"))


def test_an_illegal_move_in_an_analysis_keeps_the_process(net):
    requests = [
        {"id": "a", "moves": ["a1", "a1"], "sims": 5},
        {"id": "b", "moves": ["q9"], "sims": 5},
        {"id": "c", "moves": ["a1"], "sims": 5},
    ]
    lines = "not json\n" + "".join(json.dumps(r) + "\n" for r in requests)
    done = subprocess.run(
        [sys.executable, "-m", "zero", "analysis", str(net)], input=lines, capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    by_id = {answer.get("id"): answer for answer in answers}
    assert "error" in by_id["a"] and "error" in by_id["b"] and len(answers) == 4
    assert by_id["c"]["done"] and by_id["c"]["visits"] >= 5


def test_json_comes_last_on_stdout(capsys, net):
    code, out, _ = run(capsys, "match", net, "random", "--games", "4", "--sims", "4", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["games"]


def test_doctor_passes_and_fails_with_its_exit_code(capsys, net, monkeypatch):
    code, out, _ = run(capsys, "doctor", "tictactoe", net, "--json")
    report = json.loads(out.splitlines()[-1])
    assert code == 0 and report["failed"] == 0 and len(report["checks"]) == 3
    from zero import doctor

    def wrong(game, rng):
        raise doctor.Fault("upside down", game.new_state())

    monkeypatch.setitem(doctor.GAME_CHECKS, "planes", wrong)
    code, _, err = run(capsys, "doctor", "tictactoe")
    assert code == 1 and "upside down" in err and "FAILED tictactoe: planes" in err
    config = net.with_name("c.toml")
    config.write_text('game = "tictactoe"\n[budget]\nsteps = 1')
    code, _, err = run(capsys, "train", config, "--run", net.with_name("run"))
    assert code == 2 and "upside down" in err and "1 . . ." in err
    assert not net.with_name("run").exists()


HELP = """
import sys
from zero.cli import main
try:
    code = main(sys.argv[1:] + ["--help"])
except SystemExit as stop:
    code = stop.code or 0
heavy = {"numpy", "scipy", "pygame", "matplotlib", "torch", "ray", "cupy"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_there_and_imports_nothing_heavy(command):
    """Imports are what makes a command slow to answer; with these it takes over 0.3 s."""
    done = subprocess.run([sys.executable, "-c", HELP, *command.split()], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout
