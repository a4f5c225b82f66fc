"""Self-play on a graphics card, as far as that can be told on a pretended one; on a real one where there is one."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_run import SETTINGS

from nn import backend, reference
from nn.cuda import capture
from zero import doctor_evaluation
from zero.admission import Admission
from zero.backends.inline import InlineBackend
from zero.config import Config, from_table
from zero.devices import cluster_device, learner_device, local_device
from zero.errors import UserError
from zero.evaluator import NetworkEvaluator
from zero.games import make_game
from zero.network import Network, save_network
from zero.pool import WorkerPool
from zero.resources import Resources
from zero.selfplay import CardWorker, SelfPlayWorker
from zero.weights import Weights

sys.path.append(str(Path(__file__).parent.parent / "nn"))
import fake_cupy  # noqa: E402

CONFIG = from_table(Config, SETTINGS, "test")


class Captured:
    """Runs what the real one would record."""

    def __init__(self, function, example):
        self.function = function

    def __call__(self, x):
        return self.function(x)


class Tower:
    """The definition of the kernel, which takes numpy arrays."""

    def __init__(self, layers, rows, cols, **how):
        assert how["dtype"] == "bfloat16"
        self.tower = reference.Tower([(w.get(), b.get(), *rest) for w, b, *rest in layers], rows, cols, **how)

    def __call__(self, x):
        return fake_cupy.asarray(self.tower(x.get()))


@pytest.fixture
def card(monkeypatch):
    """Two pretended cards, with the reference kernels."""
    compiled, there = backend._kernels("cpu"), SimpleNamespace(**vars(reference) | {"Tower": Tower})
    monkeypatch.setattr(backend, "cupy", lambda: fake_cupy)
    monkeypatch.setattr(backend, "_kernels", lambda device: compiled if device == "cpu" else there)
    monkeypatch.setattr(capture, "Captured", Captured)
    fake_cupy.cuda.used.clear()


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(backend, "cupy", lambda: None)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.safetensors"
    save_network(path, Network(make_game("tictactoe"), CONFIG.network, np.random.default_rng(0)), "tictactoe")
    return Weights.read(path, version=3)


def play(worker, weights, count=12):
    worker.load(weights)
    report = worker.play(60, list(range(count)))
    admission = Admission(CONFIG)
    return {r.index: r for r in (admission.admit(p, weights.version, range(count)) for p in report.records)}


def test_a_worker_plays_on_the_card_it_was_given(card, weights):
    asked, there = [], CardWorker(CONFIG, Resources("cuda", card=3, lanes=4, groups=2))
    launches = there._read_network

    def watched(path):
        evaluate = launches(path)
        plan, run = evaluate._plan, evaluate._plan._outputs_of
        plan._outputs_of = lambda x: asked.append(type(x)) or run(x)
        return evaluate

    there._read_network = watched
    played = play(there, weights)
    assert sorted(played) == list(range(12))
    assert set(asked) == {fake_cupy.ndarray} and fake_cupy.cuda.used == [1]  # the second of two
    here = play(SelfPlayWorker(CONFIG, Resources(lanes=4)), weights)
    same = sum(played[i].moves.tolist() == here[i].moves.tolist() for i in here)
    assert same >= 6  # what bfloat16 rounds decides few games


def test_every_worker_of_a_pool_has_a_card_of_its_own(card, weights):
    class Watched(InlineBackend):
        def spawn(self, role, *args):
            spawned.append((role, args[1]))
            return super().spawn(role, *args)

    spawned = []
    pool = WorkerPool(Watched(), CONFIG, 2, print, "cuda")
    numbers = sorted(record.index for delivery in pool.play(weights, list(range(30))) for record in delivery.records)
    assert numbers == list(range(30))
    assert [role for role, _ in spawned] == [CardWorker] * 2 and CardWorker.gpus == 1
    assert [(r.device, r.card, r.groups) for _, r in spawned] == [("cuda", 0, 2), ("cuda", 1, 2)]


def test_without_a_card_the_processor_plays_unless_a_card_is_asked_for(no_card, weights):
    assert local_device("auto", CONFIG, pytest.fail) == local_device("cpu", CONFIG, pytest.fail) == "cpu"
    assert learner_device(None, "cpu", 1) == "cpu" and learner_device("cuda", "cpu", 1) == "cuda"
    with pytest.raises(UserError, match="--device cuda: needs an NVIDIA card"):
        local_device("cuda", CONFIG, pytest.fail)
    with pytest.raises(UserError, match="needs an NVIDIA card"):
        play(SelfPlayWorker(CONFIG, Resources("cuda")), weights)


def test_a_card_is_taken_if_it_computes_the_right_thing(card, monkeypatch):
    for wanted in ("auto", "cuda"):
        assert local_device(wanted, CONFIG, pytest.fail) == "cuda"
    assert local_device("cpu", CONFIG, pytest.fail) == "cpu"
    assert learner_device(None, "cuda", 1) == "cuda" and learner_device(None, "cuda", 2) == "cpu"
    other = Network(make_game("tictactoe"), CONFIG.network, np.random.default_rng(1)).eval()
    monkeypatch.setattr(doctor_evaluation, "_on_card", lambda network, game: NetworkEvaluator(other, game))
    warnings = []
    assert local_device("auto", CONFIG, warnings.append) == "cpu" and "the card is not used" in warnings[0]
    with pytest.raises(UserError, match="does not compute what the processor does"):
        local_device("cuda", CONFIG, pytest.fail)


def test_a_card_that_fails_is_a_fault_too(card, monkeypatch):
    def broken(network, game):
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(doctor_evaluation, "_on_card", broken)
    warnings = []
    assert local_device("auto", CONFIG, warnings.append) == "cpu" and "CUDA_ERROR" in warnings[0]


def test_on_a_cluster_its_cards_count(no_card):
    assert [cluster_device("auto", cards) for cards in (0, 3)] == ["cpu", "cuda"]
    assert cluster_device("cpu", 3) == "cpu"
    assert learner_device(None, "cuda", 1) == "cpu"  # the driver's machine has none
    with pytest.raises(UserError, match="no node of the cluster gives cards"):
        cluster_device("cuda", 0)


@pytest.mark.gpu
@pytest.mark.skipif(backend.cupy() is None, reason="needs an NVIDIA card, its driver and CuPy")
@pytest.mark.parametrize("groups", [1, 2])
def test_self_play_on_the_card(weights, groups):
    assert local_device("cuda", CONFIG, pytest.fail) == "cuda"
    assert len(play(CardWorker(CONFIG, Resources("cuda", lanes=4, groups=groups)), weights)) == 12
