"""A grown network answers as before, learns with all its parts, and a run can go on with it."""

import dataclasses

import numpy as np
import pytest
from test_blocks import SMALL, VARIANTS, boards, eager, used
from tiny_run import SETTINGS, games, train, weights

import nn
from zero import cli
from zero.config import Config, from_table
from zero.errors import UserError
from zero.games import make_game
from zero.growth import grown, started
from zero.learner import Learner
from zero.network import Network, load_network, save_network
from zero.run import RunDirectory


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("larger", [{"blocks": 4}, {"channels": 12}, {"blocks": 3, "channels": 20}], ids=str)
def test_a_grown_network_answers_as_before_and_learns(changes, larger):
    game, rng = make_game("go5"), np.random.default_rng(0)
    config = dataclasses.replace(SMALL, **changes)
    small = used(Network(game, config, rng), rng)
    large = Network(game, dataclasses.replace(config, **larger), rng)
    large.load_state_dict(grown(small.state_dict(), large))
    x = boards(game, 6, rng)
    for ours, theirs in zip(eager(large.eval(), x), eager(small, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
    large.train()
    policy, value = large(nn.Tensor(x))
    ((policy * policy).sum() + value.sum()).backward()
    last = f"blocks.{large.config.blocks - 1}.{TAUGHT[config.block]}"
    assert np.abs(dict(large.named_parameters())[last].grad).max() > 0
    if "channels" in larger:  # copies part: what they are told to become differs
        stem = large.stem.conv.weight.grad
        assert np.abs(stem[..., :4] - stem[..., 8:12]).max() > 1e-6


TAUGHT = {"residual": "second.norm.gamma", "preactivation": "second.weight", "bottleneck": "expand.norm.gamma"}


def test_what_is_no_larger_version_is_refused():
    game, rng = make_game("go5"), np.random.default_rng(0)
    small = Network(game, SMALL, rng).state_dict()
    for changes, words in (
        ({"channels": 6}, "cannot grow"), ({"blocks": 1}, "another kind"), ({"se": 4}, "another kind"),
        ({"value_pooling": True}, "cannot grow|another kind"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            grown(small, Network(game, dataclasses.replace(SMALL, **changes), rng))


def test_a_run_grows_in_the_middle(tmp_path, capsys):
    """Resumed with a larger network: the first weights answer as the last small ones, and training goes on."""
    root = tmp_path / "run"
    train(root, budget={"games": 48})
    run = RunDirectory.open(root)
    before = load_network(run.weights_path(), make_game("tictactoe"))
    for setting, words in (("network.blocks", "only grows"), ("learner.lr", "learner: a"), ("network.se", "se: a")):
        assert cli.main(["train", "--resume", str(root), f"--{setting}", "0"]) == 2
        assert words in capsys.readouterr().err
    run.change_budget({"games": 96})
    run.grow({"network": {"blocks": 3, "channels": 12}})
    learner = Learner(make_game("tictactoe"), run.config)
    learner.load(run.load_checkpoint(print)[1])
    learner.export(tmp_path / "grown.safetensors", 2)
    after = load_network(tmp_path / "grown.safetensors", make_game("tictactoe"))
    x = boards(make_game("tictactoe"), 20, np.random.default_rng(0))
    for ours, theirs in zip(eager(after, x), eager(before, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    run = train(root)
    grown_up = load_network(run.weights_path(), make_game("tictactoe"))
    assert (grown_up.config.blocks, grown_up.config.channels) == (3, 12)
    assert sorted(weights(run)) == [0, 1, 2, 3, 4] and len(games(run)) == 96
    assert np.abs(grown_up.blocks[2].second.norm.gamma.numpy()).max() > 0


def test_a_run_starts_from_a_network_file(tmp_path):
    """Its first network answers as the file's, though it is larger; a resumed run does not need the file."""
    first = train(tmp_path / "first", budget={"games": 24})
    game, path = make_game("tictactoe"), first.weights_path()
    before = load_network(path, game)
    changes = {"network": SETTINGS["network"] | {"blocks": 2}, "budget": {"games": 24}}
    config = from_table(Config, SETTINGS | changes, "test")
    run = RunDirectory.create(tmp_path / "second", config, {}, started(path, game, config.network))
    run = train(tmp_path / "second")
    after = load_network(run.weights_path(0), game)
    x = boards(game, 20, np.random.default_rng(0))
    assert after.config.blocks == 2
    for ours, theirs in zip(eager(after, x), eager(before, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert weights(run)[0] != weights(run)[1]


def test_a_size_free_network_starts_a_larger_board(tmp_path):
    config = dataclasses.replace(SMALL, policy_head="convolutional", value_pooling=True)
    rng, path = np.random.default_rng(0), tmp_path / "go5.safetensors"
    small = Network(make_game("go5"), config, rng)
    save_network(path, small, "go5")
    state = started(path, make_game("go7"), config)
    for name, array in small.state_dict().items():
        np.testing.assert_array_equal(state[name], array)
    for game, changes, words in (("gomoku9", {}, "plays go5"), ("go7", {"se": 4}, "network.se = 0"),
                                 ("go5", {"channels": 4}, "cannot grow")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            started(path, make_game(game), dataclasses.replace(config, **changes))
    save_network(path, Network(make_game("go5"), SMALL, rng), "go5")
    with pytest.raises(UserError, match="plays go5, not go7"):
        started(path, make_game("go7"), SMALL)
