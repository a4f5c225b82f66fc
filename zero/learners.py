"""A run's learner, whichever kind its settings ask for."""

from zero.backends import Backend
from zero.config import Config
from zero.errors import UserError
from zero.games import make_game
from zero.learner import Learner


def make_learner(config: Config, backend: Backend, learners: int, threads: int, device: str = "cpu"):
    """A `Learner`, or several of them on the backend that share the work and are used like one.

    Raises `UserError` if there is no such device.
    """
    if learners == 1:
        try:
            return Learner(make_game(config.game), config, threads, device=device)
        except ValueError as error:
            raise UserError(str(error)) from None
    if device == "cuda":
        from zero.nccl import CardGroup

        if config.learner.max_staleness:
            raise UserError("learner.max_staleness: learners with cards step together; set it to 0")
        return CardGroup(backend, config, learners, threads)
    if config.learner.max_staleness:
        from zero.parameter_server import AsynchronousLearner

        return AsynchronousLearner(backend, config, learners, threads)
    from zero.group import LearnerGroup

    return LearnerGroup(backend, config, learners, threads)
