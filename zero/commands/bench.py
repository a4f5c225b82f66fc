"""`zero bench KIND`: one measurement, printed per wall second and per CPU second."""

import importlib

from zero.errors import UserError

KINDS = {
    "rules": ("zero.bench.rules", "random playouts of a game"),
    "search": ("zero.bench.search", "simulations of the tree search"),
    "network": ("zero.bench.network", "positions through the network"),
    "train-step": ("zero.bench.network", "samples through a training step"),
    "selfplay": ("zero.bench.selfplay", "self-play with a network, end to end"),
}


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        rows = "\n".join(f"  {name:<12}{text}" for name, (_, text) in KINDS.items())
        print(f"usage: zero bench KIND [options]     (zero bench KIND --help explains one)\n\n{rows}")
        return 0
    if argv[0] not in KINDS:
        raise UserError(f"unknown benchmark '{argv[0]}'; there are {', '.join(KINDS)}")
    return importlib.import_module(KINDS[argv[0]][0]).main(argv)
