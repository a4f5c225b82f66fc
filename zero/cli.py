"""The `zero` command: a table of subcommands, each imported only when it is called."""

import importlib
import os
import sys

COMMANDS = {
    "train": ("zero.commands.train", "learn a game from its rules by self-play"),
    "plan": ("zero.commands.plan", "measure this machine and predict when a training will be how strong"),
    "top": ("zero.commands.top", "watch a training in the terminal: speed, losses, workers, memory, alarms"),
    "play": ("zero.commands.play", "play against it in a window and see what it thinks"),
    "bench": ("zero.commands.bench", "measure rules, search, network or self-play on this machine"),
    "match": ("zero.commands.match", "which of two players is stronger, and how sure is that"),
    "ladder": ("zero.commands.ladder", "the networks of a run and fixed players on one Elo scale"),
    "tournament": ("zero.commands.tournament", "round robin, gauntlet or knockout of several players"),
    "gtp": ("zero.commands.gtp", "play under the control of Go programs (GTP 2)"),
    "gomocup": ("zero.commands.gomocup", "play Gomoku under the control of Gomocup managers"),
    "analysis": ("zero.commands.analysis", "answer questions about positions: JSON lines, many at once"),
    "export": ("zero.commands.export", "a network as ONNX, and what 8-bit inference would lose"),
    "games": ("zero.commands.games", "the stored games of a run: list, check, quarantine, restore"),
    "replay": ("zero.commands.replay", "a stored game again from its weights and seed: is it the same"),
    "report": ("zero.commands.report", "one HTML page about a run"),
    "review": ("zero.commands.review", "every move of a game judged: SGF comments and an HTML page"),
    "cluster": ("zero.commands.cluster", "check the machines of a Ray cluster before a training does"),
    "doctor": ("zero.commands.doctor", "check games, networks and the installation on this machine"),
}
INTERRUPTED = 130


def usage() -> str:
    rows = "\n".join(f"  {name:<12}{text}" for name, (_, text) in COMMANDS.items())
    return f"usage: zero COMMAND [options]     (zero COMMAND --help explains one)\n\n{rows}"


def main(argv: list[str] | None = None) -> int:
    """Runs one subcommand and returns its exit code: 0 fine, 1 failed, 2 wrong input, 130 interrupted."""
    # One BLAS thread: spinning workers would steal the cores of the search (set before numpy is imported).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from zero.errors import UserError, storage_fault

    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        from importlib.metadata import version

        print(version("zero-engine"))
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        print(f"zero: unknown command '{name}'{hint}\n\n{usage()}", file=sys.stderr)
        return 2
    try:
        return importlib.import_module(COMMANDS[name][0]).main(rest)
    except UserError as error:
        print(f"zero {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        fault = storage_fault(error)
        if fault is None:
            raise
        print(f"zero {name}: {fault}", file=sys.stderr)
        return 1
