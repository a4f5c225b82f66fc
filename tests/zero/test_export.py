"""A network leaves as ONNX and answers there as here."""

import json

import numpy as np
import pytest

from zero import cli
from zero.config import NetworkConfig
from zero.games import make_game
from zero.network import Network, save_network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def weights(tmp_path):
    game = make_game("connect4")
    path = tmp_path / "net.safetensors"
    save_network(path, Network(game, NetworkConfig(blocks=2, channels=16), np.random.default_rng(0)), game.name)
    return path


def test_export_writes_onnx_and_reports(weights, tmp_path, capsys):
    out = tmp_path / "net.onnx"
    assert cli.main(["export", str(weights), str(out), "--positions", "50", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert out.is_file() and report["game"] == "connect4" and report["onnx_difference"] < 1e-4
    assert 0.5 < report["int8"]["policy_logits"]["same_choice"] <= 1 and report["int8"]["value"]["largest_error"] < 0.1


@pytest.mark.parametrize("net, words", [("random", "is no network"), ("missing.safetensors", "no such weights file")])
def test_what_is_no_network_is_refused(net, words, tmp_path, capsys):
    assert cli.main(["export", net, str(tmp_path / "net.onnx")]) == 2
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_an_unwritable_place_is_named(weights, capsys):
    assert cli.main(["export", str(weights), str(weights.parent / "nowhere" / "net.onnx")]) == 2
    assert "No such file or directory" in capsys.readouterr().err
