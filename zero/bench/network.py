"""`zero bench network` and `zero bench train-step`: the network alone, beside other engines where they are installed.

Yardsticks get the same weights and the same boards, run interleaved with ours in this process, and their answers are
compared with ours. Everybody's batch normalisation is folded for inference; the fastest variant of an engine counts.
Below float32, every engine's answers are compared with those of our float32, and what that costs is part of the result.
"""

import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from zero.errors import UserError


@dataclass(frozen=True)
class Options:
    """Measures the network: positions (network) or samples (train-step) per second."""

    game: str = "connect4"
    blocks: int = 6
    channels: int = 64
    batch: int = 64
    threads: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    dtype: Literal["float32", "bfloat16", "int8"] = "float32"
    seconds: float = 4.0
    """Of measurement for each engine."""
    isa: str | None = None
    """Instruction set of the CPU kernels ("avx512", "avx2", "numpy"); the yardsticks are held to AVX2 with "avx2"."""
    vs_torch: bool = False
    vs_onnxruntime: bool = False
    vs_jax: bool = False
    json: bool = False

    def __post_init__(self):
        for name in ("channels", "batch", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} {getattr(self, name)}: must be 1 or more")
        if self.blocks < 0 or self.seconds <= 0:
            raise UserError("--blocks must be 0 or more, --seconds more than 0")
        if self.dtype == "int8" and (self.device != "cpu" or self.vs_torch or self.vs_jax):
            raise UserError("--dtype int8 runs on the CPU; its yardstick is --vs-onnxruntime")


def main(argv: list[str]) -> int:
    import tyro

    kind = argv[0]
    options = tyro.cli(Annotated[Options, tyro.conf.FlagCreatePairsOff], prog=f"zero bench {kind}", args=argv[1:])
    _hold_yardsticks(options)  # before any of them is imported
    from threadpoolctl import threadpool_limits

    from nn import cpu
    from zero.bench.common import report

    cpu.set_threads(options.threads)
    cpu.set_precision("bfloat16" if options.dtype == "bfloat16" else "float32")
    try:
        with threadpool_limits(options.threads):
            result = _network(options) if kind == "network" else _train_step(options)
    finally:
        cpu.set_precision("float32")
    return report({"bench": kind, **_describe(options), **result}, options.json)


def _hold_yardsticks(options: Options) -> None:
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    os.environ["JAX_PLATFORMS"] = options.device
    if options.isa == "avx2":
        os.environ |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
                       "XLA_FLAGS": "--xla_cpu_max_isa=AVX2"}
    if options.isa:
        os.environ["NN_CPU_ISA"] = options.isa


def _describe(options: Options) -> dict:
    from nn import cpu
    from zero.bench.common import machine

    asked = {"torch": options.vs_torch, "onnxruntime": options.vs_onnxruntime, "jax": options.vs_jax}
    settings = ("game", "blocks", "channels", "batch", "threads", "device", "dtype")
    kernel = cpu.kernel(options.dtype) if options.device == "cpu" else "cuda"
    return {**{name: getattr(options, name) for name in settings}, "kernel": kernel,
            "machine": machine(*(name for name, wanted in asked.items() if wanted))}


def _build(options: Options):
    import numpy as np

    from zero.config import NetworkConfig
    from zero.games import make_game
    from zero.network import Network

    game = make_game(options.game)
    rng = np.random.default_rng(0)
    network = Network(game, NetworkConfig(blocks=options.blocks, channels=options.channels), rng)
    boards = (rng.random((options.batch, game.rows, game.cols, game.planes)) < 0.3).astype(np.float32)
    return game, network, boards, rng


def _network(options: Options) -> dict:
    import numpy as np

    from nn import infer
    from nn.int8 import accuracy_loss
    from zero.bench import yardsticks

    game, network, boards, _ = _build(options)
    network.to(device=options.device)
    plan = infer.compile(network.eval(), boards.shape[1:], dtype=options.dtype, threads=options.threads,
                         calibration=boards)
    engines: dict[str, Callable] = {"zero": lambda: plan(boards)}
    net = yardsticks.folded(network.state_dict(), options.blocks)
    for asked, add in ((options.vs_torch, yardsticks.torch_inference),
                       (options.vs_onnxruntime, yardsticks.onnxruntime_inference),
                       (options.vs_jax, yardsticks.jax_inference)):
        if asked:
            engines |= add(net, boards, options.threads, options.dtype, options.device)
    exact = plan
    if options.dtype != "float32":
        exact = infer.compile(network, boards.shape[1:], threads=options.threads)
    expected, result = exact(boards), {}
    for name, run in engines.items():
        result[f"{name}_difference"] = max(
            float(np.linalg.norm(np.asarray(a).reshape(b.shape) - b) / np.linalg.norm(b))
            for a, b in zip(run(), expected, strict=True)
        )
    if exact is not plan:
        policy, value = accuracy_loss(plan, exact, boards)
        result |= {"policy_error": policy.relative_error, "same_best_move": policy.same_choice,
                   "value_error": value.largest_error}
    return _compare(engines, options, "positions") | result


def _train_step(options: Options) -> dict:
    import numpy as np

    from nn import ops, optim
    from nn.tensor import Tensor
    from zero.bench import yardsticks

    if options.dtype == "int8" or options.vs_onnxruntime or options.vs_jax:
        raise UserError("train-step is measured in float32 or bfloat16, against --vs-torch")
    game, network, boards, rng = _build(options)
    policy = rng.dirichlet(np.full(game.num_actions, 0.3), options.batch).astype(np.float32)
    outcome = rng.choice([-1.0, 1.0], options.batch).astype(np.float32)
    engines = {}
    if options.vs_torch:
        engines |= yardsticks.torch_train_step(network.state_dict(), options.blocks, boards, policy, outcome,
                                               options.threads, options.dtype, options.device)
    network.train().to(device=options.device)
    optimizer = optim.SGD(network.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    x, target, z = (Tensor(a, device=options.device) for a in (boards, policy, outcome))

    def step():
        logits, value = network(x)
        loss = ops.cross_entropy(logits, target) + ops.mse(value, z)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    engines = {"zero": step} | engines
    losses = {name: [run() for _ in range(3)] for name, run in engines.items()}
    difference = max(abs(a - b) for own in losses.values() for a, b in zip(own, losses["zero"], strict=True))
    return _compare(engines, options, "samples") | {"loss": losses["zero"][-1], "largest_difference": difference}


def _compare(engines: dict[str, Callable], options: Options, unit: str) -> dict:
    """Rates of all engines, and the ratio of ours to the fastest other, per CPU second."""
    from zero.bench.common import interleave, per_second

    def counted(run):
        def work():
            run()
            return options.batch
        return work

    rates = interleave({name: counted(run) for name, run in engines.items()}, options.seconds)
    by_cpu = options.threads == 1 and options.device == "cpu"
    key = f"{unit}_per_cpu_s" if by_cpu else f"{unit}_per_s"
    ours = rates.pop("zero")
    result = per_second(unit, ours)
    for name, others in rates.items():
        result |= {f"{name}_{key}": value for key, value in per_second(unit, others).items()}
    if rates:
        best = max(rates, key=lambda name: result[f"{name}_{key}"])
        result |= {"fastest_other": best, "ratio": result[key] / result[f"{best}_{key}"],
                   "ratio_spread": _ratio_spread(ours, rates[best], by_cpu)}
    return result


def _ratio_spread(ours: list, others: list, by_cpu: bool) -> float:
    """Between the quartiles of the rounds' ratios, as a share of their median: how steady the machine was."""

    def speed(rate):
        return rate.count / (rate.cpu_s if by_cpu else rate.wall_s)

    low, median, high = statistics.quantiles([speed(a) / speed(b) for a, b in zip(ours, others, strict=True)])
    return (high - low) / median
