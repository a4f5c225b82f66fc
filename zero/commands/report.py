"""`zero report RUN`: one HTML page about a run."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class ReportArguments:
    """Write one self-contained HTML page about a run: strength, losses, throughput, openings, games to step through."""

    run: tyro.conf.Positional[Path]
    out: Path | None = None  # [RUN/report.html]
    json: Annotated[bool, tyro.conf.arg(name="json")] = False  # one JSON object on the last line of stdout


def main(argv: list[str]) -> int:
    arguments = tyro.cli(ReportArguments, prog="zero report", args=argv)
    from zero.report.run_report import write_report
    from zero.run import RunDirectory

    run = RunDirectory.open(arguments.run)
    path = arguments.out or run.root / "report.html"
    write_report(run, path)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB", file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps({"report": str(path), "bytes": path.stat().st_size}))
    return 0
