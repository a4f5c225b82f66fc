"""The network beside PyTorch, ONNX Runtime and JAX: every cell of the table in docs/benchmarks.md, as Markdown.

    python benchmarks/network_table.py [inference] [avx2] [latency] [training] [int8] [6x64] [10x128]

Names of tables and of nets select; without any, all are measured, in about 20 minutes. A cell is one call of
`zero bench`, in which all engines take turns in one process on one thread; figures are per second of CPU time, medians
of 7 rounds. `spread` lies between the quartiles of the rounds' ratios: above 5 % the machine was too busy to believe
the cell. A cell that fails says why, and the others go on. `go9` has boards of 9x9, `connect4` of 6x7.
"""

import json
import statistics
import subprocess
import sys

NETS = {"6x64": (6, 64), "10x128": (10, 128)}
GAMES = ("go9", "connect4")
TABLES = ("inference", "avx2", "latency", "training", "int8")
PEERS = ("--vs-torch", "--vs-onnxruntime", "--vs-jax")


def bench(kind, game, blocks, channels, batch, *options):
    command = ["zero", "bench", kind, "--game", game, "--blocks", str(blocks), "--channels", str(channels),
               "--batch", str(batch), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        print(f"{' '.join(command)}: exit code {done.returncode}: {reason}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def row(result, unit):
    key = f"{unit}_per_cpu_s"
    others = {name.removesuffix(f"_{key}"): value for name, value in result.items() if name.endswith(f"_{key}")}
    cells = [f"{result['blocks']}x{result['channels']}", result["game"], str(result["batch"]), f"{result[key]:,.0f}"]
    cells += [f"{others[name]:,.0f}" for name in sorted(others)]
    return f"| {' | '.join(cells)} | {result['ratio']:.2f} | {result['ratio_spread']:.0%} |", sorted(others)


def table(title, unit, runs):
    print(f"\n{title}\n")
    ratios = []
    for result in runs:
        if result is None:
            continue
        line, others = row(result, unit)
        if not ratios:
            head = ["net", "game", "batch", "zero", *others, "ratio to the fastest", "spread"]
            print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
        print(line, flush=True)
        ratios.append(result["ratio"])
    if ratios:
        print(f"\nRatio: median {statistics.median(ratios):.2f}, lowest {min(ratios):.2f}.", flush=True)


def main(words):
    unknown = set(words) - {*TABLES, *NETS}
    if unknown:
        sys.exit(f"{', '.join(sorted(unknown))}: must be one of {', '.join([*TABLES, *NETS])}")
    wanted = [word for word in words if word in TABLES] or TABLES
    nets = [NETS[word] for word in words if word in NETS] or NETS.values()

    def cells(kind, batches, *options):
        return (bench(kind, game, *net, batch, *options) for net in nets for game in GAMES for batch in batches)

    if "inference" in wanted:
        table("Inference, float32, positions per CPU second", "positions", cells("network", (16, 64, 256), *PEERS))
    if "avx2" in wanted:
        table("The same, everybody held to AVX2 (ONNX Runtime cannot be held and is left out)", "positions",
              cells("network", (16, 64, 256), "--isa", "avx2", "--vs-torch", "--vs-jax"))
    if "latency" in wanted:
        table("Batch 1, float32", "positions", cells("network", (1,), *PEERS))
    if "training" in wanted:
        table("Training step, float32, batch 256, samples per CPU second", "samples",
              cells("train-step", (256,), "--vs-torch", "--seconds", "14"))
    if "int8" in wanted:
        table("Inference, 8-bit integers on both sides, positions per CPU second", "positions",
              cells("network", (1, 64), "--dtype", "int8", "--vs-onnxruntime"))


if __name__ == "__main__":
    main(sys.argv[1:])
