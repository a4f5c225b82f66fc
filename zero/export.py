"""A trained network for other programs: an ONNX file, checked on positions, and what 8-bit inference would cost it."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mcts_ext.state import Game
from nn import infer, int8
from zero.errors import UserError
from zero.games import make_game
from zero.network import load_network, read_about

OUTPUTS = ["policy_logits", "value"]


@dataclass(frozen=True)
class ExportReport:
    """`onnx_difference`: the largest of any output, None without ONNX Runtime; `int8`: per output, on `positions`."""

    game: str
    file: str
    positions: int
    onnx_difference: float | None
    int8: dict[str, dict[str, float]]


def random_positions(game: Game, count: int, rng: np.random.Generator) -> np.ndarray:
    """Planes float32 `[count, rows, cols, planes]` of positions from uniformly random games."""
    planes: list[np.ndarray] = []
    while len(planes) < count:
        state = game.new_state()
        while not state.terminal and len(planes) < count:
            planes.append(state.encode())
            state.play(int(rng.choice(state.legal_actions())))
    return np.stack(planes).astype(np.float32)


def export_network(weights: Path, out: Path, positions: int, seed: int = 0) -> ExportReport:
    """Writes `out`: input "input" `[n, rows, cols, planes]`, outputs "policy_logits" `[n, actions]` and "value" `[n]`,
    all float32 and seen by the player to move. Raises UserError for a bad network or without the onnx package."""
    try:
        from nn import onnx

        game = make_game(read_about(weights)["game"])
        network = load_network(weights, game)
        shape = (game.rows, game.cols, game.planes)
        onnx.export(out, network, shape, OUTPUTS)
    except ImportError:
        raise UserError("export needs the onnx package: pip install 'zero-engine[onnx]'") from None
    except OSError as error:
        raise UserError(f"{out}: {error.strerror or error}") from None
    samples = random_positions(game, 2 * positions, np.random.default_rng(seed))
    calibration, x = samples[::2], samples[1::2]  # what is measured was not calibrated on
    exact = infer.compile(network, shape)
    quantised = infer.compile(network, shape, dtype="int8", calibration=calibration)
    losses = int8.accuracy_loss(quantised, exact, x)
    return ExportReport(
        game.full_name, str(out), positions, _onnx_difference(out, exact, x),
        {name: asdict(loss) for name, loss in zip(OUTPUTS, losses, strict=True)},
    )  # fmt: skip


def _onnx_difference(path: Path, plan: infer.Plan, x: np.ndarray) -> float | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pairs = zip(plan(x), session.run(OUTPUTS, {"input": x}), strict=True)
    return max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
