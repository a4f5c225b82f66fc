"""ONNX Runtime loads what is exported and agrees with it."""

import zlib

import numpy as np
import pytest
from nn_cases import CASES
from test_nn_infer import DualHead

from nn import Tensor, no_grad, ops
from nn.graph import trace
from nn.layers import ConvBN, Dropout, Module

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from nn import onnx  # noqa: E402

NOT_FOR_INFERENCE = ("cross_entropy", "mse", "huber", "dropout", "bn_act_train", "bn_plain", "bn_act_masked",
                     "conv_bn_act", "global_pool_masked", "index_pair", "index_mask")


def session(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("case", [c for c in CASES if not c.name.startswith(NOT_FOR_INFERENCE)], ids=lambda c: c.name)
def test_every_operation_round_trips(case):
    arrays = [a.astype(np.float32) for a in case.inputs(np.random.default_rng(zlib.crc32(case.name.encode())))]
    if case.name == "astype":
        pytest.skip("the row converts to float64 in place")
    graph = trace(case.run, *arrays)
    model = onnx.to_model(graph)
    (result,) = session(model.SerializeToString()).run(None, {f"input{i}": a for i, a in enumerate(arrays)})
    np.testing.assert_allclose(result, graph.run(*arrays), rtol=1e-4, atol=1e-5)


def test_comparisons_casts_and_argmax_round_trip():
    def function(x):
        return (x > 0.5), (x != 0.5).astype("float32"), x.argmax(1), x.argmax(), x[:, ::-1][-1]

    x = np.random.default_rng(0).uniform(size=(3, 4)).astype(np.float32)
    graph = trace(function, x)
    results = session(onnx.to_model(graph).SerializeToString()).run(None, {"input0": x})
    for ours, theirs in zip(graph.run(x), results, strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_a_network_for_any_batch_size(tmp_path):
    rng = np.random.default_rng(0)
    net = DualHead(rng)
    path = tmp_path / "net.onnx"
    onnx.export(path, net, (6, 5, 3), outputs=["policy", "value"])
    runtime = session(str(path))
    assert [o.name for o in runtime.get_outputs()] == ["policy", "value"]
    for n in (1, 7):
        x = rng.normal(size=(n, 6, 5, 3)).astype(np.float32)
        with no_grad():
            expected = net.eval()(Tensor(x))
        for ours, theirs in zip(expected, runtime.run(None, {"input": x}), strict=True):
            np.testing.assert_allclose(theirs, ours.data, rtol=1e-4, atol=1e-5)


def test_what_cannot_be_exported_is_named(tmp_path):
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="dropout: has no counterpart"):
        onnx.to_model(trace(lambda x: ops.dropout(x, p=0.5, rng=np.random.default_rng(0)), x))
    net = ConvBN(1, 2, 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="evaluation mode"):
        onnx.to_model(trace(net, np.ones((2, 3, 3, 1), np.float32)))
    with pytest.raises(ValueError, match="2 output names for 1"):
        onnx.export(tmp_path / "net.onnx", net, (3, 3, 1), outputs=["a", "b"])
    assert not list(tmp_path.iterdir())


def test_dropout_vanishes_in_evaluation_mode(tmp_path):
    class Net(Module):
        def __init__(self):
            self.drop = Dropout(0.5, np.random.default_rng(0))

        def forward(self, x):
            return self.drop(x) * 2

    onnx.export(tmp_path / "net.onnx", Net(), (3,))
    x = np.ones((2, 3), np.float32)
    assert (session(str(tmp_path / "net.onnx")).run(None, {"input": x})[0] == 2).all()
