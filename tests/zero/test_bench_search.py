"""`zero bench search`: the figures it prints belong together."""
import json

import pytest

from zero.bench import search
from zero.errors import UserError


def bench(capsys, *options):
    assert search.main(["search", "--seconds", "0.1", "--sims", "50", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("options", [["--evaluator", "rollout"], ["--games", "4", "--encode"], ["--root", "gumbel"]])
def test_simulations_per_second(capsys, options):
    result = bench(capsys, *options)
    assert result["bench"] == "search" and result["game"] == "connect4"
    assert result["sims_per_cpu_s"] > 10_000


def test_a_network_is_slower_than_none(capsys):
    with_network = bench(capsys, "--evaluator", "network", "--blocks", "1", "--channels", "8", "--games", "4")
    assert 0 < with_network["sims_per_s"] < bench(capsys, "--games", "4")["sims_per_s"]


@pytest.mark.parametrize("evaluator", ["uniform", "rollout"])
def test_openspiel_takes_turns(capsys, evaluator):
    pytest.importorskip("pyspiel")
    result = bench(capsys, "--vs-openspiel", "--evaluator", evaluator)
    assert result["ratio_to_openspiel"] == pytest.approx(
        result["sims_per_cpu_s"] / result["openspiel_sims_per_cpu_s"])
    assert result["ratio_to_openspiel"] > 1


def test_two_threads_against_one(capsys):
    result = bench(capsys, "--games", "8", "--threads", "2", "--vs-one-thread")
    assert result["ratio_to_one_thread"] == pytest.approx(result["sims_per_s"] / result["one_thread_sims_per_s"])


@pytest.mark.parametrize("options, why", [
    (["--game", "chess"], "unknown game"), (["--seconds", "0"], "more than 0"), (["--sims", "0"], "1 or more"),
    (["--vs-openspiel", "--evaluator", "network"], "uniform or rollout"),
    (["--game", "othello6", "--vs-openspiel"], "no game like othello6")])
def test_wrong_options(options, why):
    pytest.importorskip("pyspiel")
    with pytest.raises(UserError, match=why):
        search.main(["search", *options])
