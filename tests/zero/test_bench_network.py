"""`zero bench network` and `train-step` at small sizes: every dtype, and the yardsticks that are installed."""

import json

import pytest

from nn import cpu
from zero.bench import network
from zero.errors import UserError

SMALL = ["--game", "tictactoe", "--blocks", "1", "--channels", "8", "--batch", "4", "--seconds", "0.07", "--json"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The command sets these for the yardsticks; afterwards they are as before."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def bench(capsys, kind, *options):
    assert network.main([kind, *SMALL, *options]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_every_dtype_is_measured_and_named(capsys, dtype):
    result = bench(capsys, "network", "--dtype", dtype)
    assert result["positions_per_s"] > 0 and result["positions_per_cpu_s"] > 0
    assert result["kernel"] == cpu.kernel(dtype) and result["dtype"] == dtype
    if dtype == "float32":
        assert result["zero_difference"] == 0
    else:
        assert result["zero_difference"] < 0.1 and result["same_best_move"] >= 0.5 and result["value_error"] < 0.2


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_onnxruntime_beside_ours(capsys, dtype):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    result = bench(capsys, "network", "--dtype", dtype, "--vs-onnxruntime")
    assert result["ratio"] == pytest.approx(
        result["positions_per_cpu_s"] / result["onnxruntime_positions_per_cpu_s"], rel=1e-6
    )
    assert result["ratio_spread"] >= 0
    bound = 1e-5 if dtype == "float32" else 0.1
    assert result["onnxruntime_difference"] < bound
    assert dtype == "float32" or result["onnxruntime_difference"] > 1e-5  # it was quantised


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_train_step(capsys, dtype):
    pytest.importorskip("torch")
    result = bench(capsys, "train-step", "--dtype", dtype, "--vs-torch")
    assert result["samples_per_s"] > 0 and result["fastest_other"].startswith("torch")
    assert result["largest_difference"] < (1e-3 if dtype == "float32" else 0.1)  # of the first three losses


@pytest.mark.parametrize("options, words", [
    (["--batch", "0"], "--batch 0: must be 1 or more"),
    (["--dtype", "int8", "--vs-torch"], "its yardstick is --vs-onnxruntime"),
    (["--dtype", "int8", "--device", "cuda"], "int8 runs on the CPU"),
])  # fmt: skip
def test_wrong_options_are_refused_in_words(options, words):
    with pytest.raises(UserError, match=words):
        network.main(["network", *SMALL, *options])
