"""What moves the weights, and how far: the optimiser and the learning rate that `LearnerConfig` asks for."""

from nn import optim
from nn.layers import Module
from nn.schedules import Constant, Cosine, Steps, Warmup
from nn.tensor import Parameter
from zero.config import LearnerConfig

ADAMW_SHARE = 0.05  # AdamW's rate beside Muon's: the customary 0.001 beside 0.02 (Jordan et al. 2024)


def make_optimizer(network: Module, auxiliary: Module, settings: LearnerConfig) -> optim.Optimizer | optim.Several:
    """An optimiser of all parameters. With "muon" it has the filters and matrices of the blocks; AdamW has the rest."""
    parameters = network.parameters() + auxiliary.parameters()
    if settings.optimizer != "muon":
        return elementwise_optimizer(parameters, settings)
    lr, decay = settings.lr, settings.weight_decay
    hidden = [p for name, p in network.named_parameters() if name.startswith("blocks.") and p.ndim > 1]
    taken = set(hidden)
    rest = optim.AdamW([p for p in parameters if p not in taken], lr, weight_decay=decay)
    if not hidden:
        return rest
    return optim.Several([(optim.Muon(hidden, lr, weight_decay=decay), 1.0), (rest, ADAMW_SHARE)], lr)


def elementwise_optimizer(parameters: list[Parameter], settings: LearnerConfig) -> optim.Optimizer:
    """One that treats every number by itself, so that any stretch of the parameters can be updated apart."""
    lr, decay = settings.lr, settings.weight_decay
    if settings.optimizer == "sgd":
        return optim.SGD(parameters, lr, settings.momentum, weight_decay=decay)
    kind = optim.Adam if settings.optimizer == "adam" else optim.AdamW
    return kind(parameters, lr, weight_decay=decay)


def learning_rate(settings: LearnerConfig, progress: float, step: int) -> float:
    """The rate when a share `progress` (0 to 1) of the budget is spent and `step` steps are done."""
    top, bottom = settings.lr, settings.lr * settings.final_lr
    if settings.schedule == "cosine":
        rate = Cosine(top, bottom, 1)(progress)
    elif settings.schedule == "drops":
        factor = settings.final_lr ** (1 / len(settings.drops))
        rate = Steps(settings.drops, tuple(top * factor**i for i in range(len(settings.drops) + 1)))(progress)
    else:
        rate = top
    return Warmup(settings.warmup_steps, Constant(rate))(step) if settings.warmup_steps else rate
