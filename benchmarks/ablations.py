"""What each training method is worth: trainings of Connect Four that differ in one setting, judged by a perfect solver.

    python benchmarks/ablations.py runs/ablations                     all of them, a minute or two of a core each
    python benchmarks/ablations.py runs/ablations --only lambda-1 muon
    python benchmarks/ablations.py runs/tried --settings replay.surprise_share=0    changed in every one of them
    python benchmarks/ablations.py runs/ablations --table             what is there so far

Every training plays the same number of games with one worker from the settings of configs/connect4-quick.toml. `base`
is trained with several seeds: a difference within their spread says nothing.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

from connect4_solved import judge, read_positions, share

CONFIG = Path(__file__).parent.parent / "configs" / "connect4-quick.toml"
VARIANTS = {
    "base": [],
    "base-2": ["--seed=2"],
    "base-3": ["--seed=3"],
    "lambda-1": ["--replay.value_lambda=1.0"],
    "lambda-0.9": ["--replay.value_lambda=0.9"],
    "lambda-0.5": ["--replay.value_lambda=0.5"],
    "c-scale-1": ["--search.c_scale=1.0"],
    "no-proofs": ["--selfplay.proof_moves=0"],
    "no-solver": ["--selfplay.proof_moves=0", "--selfplay.end_when_proven=false", "--search.solver=false"],
    "few-openings": ["--selfplay.random_plies=2"],
    "more-openings": ["--selfplay.random_plies=20"],
    "sims-32": ["--selfplay.sims=32"],
    "puct-32": ["--search.root=puct", "--selfplay.sims=32"],
    "playout-cap": ["--selfplay.sims=32", "--selfplay.fast_sims=8", "--selfplay.full_share=0.33"],
    "surprise": ["--replay.surprise_share=0.5"],
    "wdl": ["--network.value_head=wdl"],
    "reply": ["--learner.reply_weight=0.15"],
    "soft-policy": ["--learner.soft_policy_weight=8"],
    "moves-left": ["--learner.moves_left_weight=0.1"],
    "no-ema": ["--learner.ema=0"],
    "adamw": ["--learner.optimizer=adamw", "--learner.lr=0.002", "--learner.weight_decay=0.01"],
    "sgd": ["--learner.optimizer=sgd", "--learner.lr=0.03", "--learner.weight_decay=0.0001"],
    "decay-0.01": ["--learner.weight_decay=0.01"],
    "preactivation": ["--network.block=preactivation"],
    "squeeze-excitation": ["--network.se=8"],
    "samples-6": ["--replay.samples_per_position=6"],
    "surprise-1": ["--replay.surprise_share=1"],
    "proofs-200k": ["--selfplay.proof_moves=200000"],
}


def train(name, root, games, common):
    """Trains a variant if that is not done; returns what it scored."""
    result = root / f"{name}.json"
    if not result.exists():
        before = cpu_seconds()
        command = [sys.executable, "-m", "zero", "train", CONFIG, "--run", root / name, f"--games={games}",
                   "--workers=1", "--budget.minutes=0", "--match.games=0", *common, *VARIANTS[name]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds, positions = cpu_seconds() - before, read_positions()
        searched, alone = (judge(f"{root / name}?sims={sims}", positions) for sims in (100, 0))
        result.write_text(json.dumps({"name": name, "settings": [*common, *VARIANTS[name]], "games": games,
                                      "cpu_s": round(seconds), "searched": share(searched), "alone": share(alone)}))
    return json.loads(result.read_text())


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="directory for the trainings")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help=", ".join(VARIANTS))
    parser.add_argument("--games", type=int, default=4000, help="of each training")
    parser.add_argument("--settings", nargs="+", default=[], metavar="KEY=VALUE", help="of all trainings")
    parser.add_argument("--table", action="store_true", help="train nothing, show what is there")
    arguments = parser.parse_args()
    arguments.root.mkdir(parents=True, exist_ok=True)
    names = arguments.only or list(VARIANTS)
    if arguments.table:
        names = [name for name in names if (arguments.root / f"{name}.json").exists()]
    print("| variant | settings | CPU s | value kept, 100 simulations | by the policy alone |\n|---|---|---|---|---|")
    for name in names:
        found = train(name, arguments.root, arguments.games, [f"--{setting}" for setting in arguments.settings])
        settings = " ".join(f"`{setting.removeprefix('--')}`" for setting in found["settings"])
        print(f"| {name} | {settings} | {found['cpu_s']} | {found['searched']} | {found['alone']} |", flush=True)


if __name__ == "__main__":
    main()
