"""Layers, optimisers and files: a training step equals PyTorch's, a saved run continues exactly."""

import numpy as np
import pytest

from nn import Parameter, Tensor, infer, ops, save
from nn.layers import (
    BatchNorm,
    Conv2d,
    ConvBN,
    Dropout,
    Flatten,
    GlobalPool,
    LayerNorm,
    Linear,
    MaxPool,
    Module,
    ReLU,
    Sequential,
)
from nn.optim import SGD, AdamW, clip_grad_norm


class SmallNet(Module):
    """A residual block with a head."""

    def __init__(self, rng):
        self.stem = ConvBN(2, 4, 3, rng)
        self.first, self.second = ConvBN(4, 4, 3, rng), ConvBN(4, 4, 3, rng)
        self.head = Sequential(GlobalPool(), Linear(8, 3, rng))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.second(self.first(x), residual=x))


def batch(seed, n=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 5, 4, 2)).astype(np.float32), rng.integers(0, 3, n)


def train(net, optimizer, seeds):
    losses = []
    for seed in seeds:
        x, labels = batch(seed)
        loss = ops.cross_entropy(net(Tensor(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def torch_twin(torch, net):
    """The same net in PyTorch, in float64, with the same weights."""

    class Block(torch.nn.Module):
        def __init__(self, inputs):
            super().__init__()
            self.conv = torch.nn.Conv2d(inputs, 4, 3, padding=1, bias=False)
            self.norm = torch.nn.BatchNorm2d(4)

        def forward(self, x, residual=0):
            return torch.relu(self.norm(self.conv(x)) + residual)

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.first, self.second = Block(2), Block(4), Block(4)
            self.head = torch.nn.Linear(8, 3)

        def forward(self, x):
            x = self.stem(x.permute(0, 3, 1, 2))
            x = self.second(self.first(x), x)
            return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))

    twin = Twin().double()
    state = net.state_dict()
    with torch.no_grad():
        for name in ("stem", "first", "second"):
            getattr(twin, name).conv.weight.copy_(torch.tensor(state[f"{name}.conv.weight"]).permute(3, 2, 0, 1))
        twin.head.weight.copy_(torch.tensor(state["head.layers.1.weight"]).T)
        twin.head.bias.copy_(torch.tensor(state["head.layers.1.bias"]))
    return twin


@pytest.mark.parametrize("ours, theirs, options", [
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2}),
    (SGD, "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (AdamW, "AdamW", {"lr": 1e-2, "weight_decay": 0.1}),
])  # fmt: skip
def test_ten_steps_equal_pytorch(ours, theirs, options):
    torch = pytest.importorskip("torch")
    net = SmallNet(np.random.default_rng(0)).to(dtype=np.float64)
    twin = torch_twin(torch, net)
    optimizer, reference = ours(net.parameters(), **options), getattr(torch.optim, theirs)(twin.parameters(), **options)
    for seed in range(10):
        x, labels = batch(seed)
        loss = ops.cross_entropy(net(Tensor(x.astype(np.float64))), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected = torch.nn.functional.cross_entropy(twin(torch.tensor(x).double()), torch.tensor(labels))
        reference.zero_grad()
        expected.backward()
        reference.step()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-8)
    for layer in ("stem", "second"):
        norm, other = getattr(net, layer).norm, getattr(twin, layer).norm
        np.testing.assert_allclose(norm.running_mean.data, other.running_mean.numpy(), rtol=1e-6)
        np.testing.assert_allclose(norm.running_var.data, other.running_var.numpy(), rtol=1e-6)
    x, _ = batch(99)
    np.testing.assert_allclose(
        net.eval()(Tensor(x.astype(np.float64))).data,
        twin.eval()(torch.tensor(x).double()).detach().numpy(), rtol=1e-6, atol=1e-8,
    )  # fmt: skip


def test_float32_inference_is_within_1e_5_of_pytorch_in_float64():
    torch = pytest.importorskip("torch")
    net = SmallNet(np.random.default_rng(0))
    twin = torch_twin(torch, net).eval()
    x, _ = batch(1, n=32)
    expected = twin(torch.tensor(x).double()).detach().numpy()
    (logits,) = infer.compile(net, x.shape[1:])(x)
    assert np.linalg.norm(logits - expected) < 1e-5 * np.linalg.norm(expected)
    eager = net.eval()(Tensor(x)).data
    assert np.linalg.norm(eager - expected) < 1e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("make", [
    lambda p: SGD(p, 0.05, nesterov=True, weight_decay=1e-3),
    lambda p: AdamW(p, 0.01),
])  # fmt: skip
def test_saved_training_continues_bit_for_bit(make, tmp_path):
    net = SmallNet(np.random.default_rng(0))
    optimizer = make(net.parameters())
    train(net, optimizer, range(3))
    save.save(tmp_path / "net.safetensors", net.state_dict(), {"step": "3"})
    save.save(tmp_path / "optimizer.safetensors", optimizer.state_dict())
    expected = train(net, optimizer, range(3, 6))

    other = save.load_module(tmp_path / "net.safetensors", SmallNet(np.random.default_rng(9)))
    optimizer = make(other.parameters())
    optimizer.load_state_dict(save.load(tmp_path / "optimizer.safetensors"))
    assert save.load_metadata(tmp_path / "net.safetensors") == {"step": "3"}
    assert train(other, optimizer, range(3, 6)) == expected
    assert all((a == b).all() for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))


def test_one_seed_is_one_network():
    a, b, c = (SmallNet(np.random.default_rng(seed)).state_dict() for seed in (1, 1, 2))
    assert all((a[name] == b[name]).all() for name in a)
    assert any((a[name] != c[name]).any() for name in a)


def test_names_follow_the_attributes():
    net = SmallNet(np.random.default_rng(0))
    names = [name for name, _ in net.named_parameters()]
    assert names[:3] == ["stem.conv.weight", "stem.norm.gamma", "stem.norm.beta"] and "head.layers.1.bias" in names
    assert [name for name, _ in net.named_buffers()][:2] == ["stem.norm.running_mean", "stem.norm.running_var"]


def test_eval_uses_running_statistics_and_no_dropout():
    rng = np.random.default_rng(0)
    net = Sequential(
        Conv2d(2, 3, 3, rng), BatchNorm(3), ReLU(), MaxPool(2), Flatten(), LayerNorm(12), Dropout(0.5, rng)
    )
    x = Tensor(batch(0)[0])
    assert (net(x).data != net(x).data).any()
    net.eval()
    assert (net(x).data == net(x).data).all()
    alone = net(Tensor(x.data[:1])).data
    np.testing.assert_allclose(alone, net(x).data[:1], rtol=1e-5, atol=1e-6)


def test_dropout_keeps_the_mean():
    rng = np.random.default_rng(0)
    out = Dropout(0.25, rng)(Tensor(np.ones(40_000, np.float32))).data
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert out.mean() == pytest.approx(1, abs=0.02)


def test_gradient_clipping():
    a, b = Parameter(np.zeros(3)), Parameter(np.zeros(2))
    a.grad, b.grad = np.full(3, 2.0), np.full(2, 1.0)
    assert clip_grad_norm([a, b], 1.0) == pytest.approx(14**0.5)
    assert np.sqrt((a.grad**2).sum() + (b.grad**2).sum()) == pytest.approx(1)
    assert clip_grad_norm([a, b], 5.0) == pytest.approx(1)


def test_load_state_dict_names_every_fault_and_changes_nothing():
    net = SmallNet(np.random.default_rng(0))
    state = net.state_dict()
    before = net.state_dict()
    state["extra"] = state.pop("stem.norm.gamma")
    state["stem.conv.weight"] = np.zeros((3, 3, 9, 4), np.float32)
    with pytest.raises(ValueError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert "missing stem.norm.gamma" in text and "unexpected extra" in text
    assert "stem.conv.weight has shape [3, 3, 9, 4], must be [3, 3, 2, 4]" in text
    assert all((before[name] == a).all() for name, a in net.state_dict().items())


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "net.safetensors"
    net = SmallNet(np.random.default_rng(0))
    save.save(path, net.state_dict())
    whole = path.read_bytes()
    for cut, words in [(3, "not a whole"), (len(whole) // 2, "truncated within tensor"), (0, "not a whole")]:
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=words) as caught:
            save.load(path)
        assert str(path) in str(caught.value)
    path.write_bytes(b"hello, this is no tensor file")
    for read in (save.load, save.load_metadata):
        with pytest.raises(ValueError, match="safetensors"):
            read(path)
    save.save(path, {"other": np.zeros(3)})
    with pytest.raises(ValueError, match=f"{path.name}: SmallNet: missing"):
        save.load_module(path, net)


def test_a_file_of_a_dtype_we_do_not_have_is_named(tmp_path):
    path = tmp_path / "net.safetensors"
    header = b'{"scale":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    with pytest.raises(ValueError, match="net.safetensors: tensor scale is of dtype F8_E4M3; must be one of F64, F32"):
        save.load(path)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "net.safetensors"
    save.save(path, {"a": np.ones(3)})
    with pytest.raises(Exception):  # noqa: B017 - whatever the writer raises for an object array
        save.save(path, {"a": np.array([object()])})
    assert (save.load(path)["a"] == 1).all()
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_a_parameter_moved_from_under_its_optimizer_is_noticed():
    net = Linear(2, 3, np.random.default_rng(0))
    optimizer = SGD(net.parameters(), 0.1)
    net.to(dtype=np.float64)
    with pytest.raises(RuntimeError, match="new array after the optimiser was made"):
        optimizer.step()


def test_tied_weights_are_trained_once():
    net = Sequential(Linear(2, 2, np.random.default_rng(0), bias=False), ReLU())
    net.layers.append(net[0])
    assert len(net.parameters()) == 1 and len(net.state_dict()) == 2
    optimizer = SGD(net.parameters(), 0.5, momentum=0.0)
    before = net[0].weight.data.copy()
    net(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(net[2].weight.data, before - 0.5 * net[0].weight.grad, rtol=1e-6)


def test_optimizer_refuses_foreign_state():
    optimizer = SGD([Parameter(np.zeros(3))], 0.1)
    with pytest.raises(ValueError, match="velocity has shape"):
        optimizer.load_state_dict({"velocity": np.zeros(4), "steps": 1, "lr": 0.1})
    with pytest.raises(ValueError, match="must have"):
        optimizer.load_state_dict({"mean": np.zeros(3)})
    with pytest.raises(ValueError, match="no parameters"):
        SGD([], 0.1)
