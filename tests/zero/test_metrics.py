"""What a run tells about itself: the lines, TensorBoard's files, Prometheus on loopback, `zero top` and its alarms."""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import types
import urllib.request
from collections import Counter

import pytest
from tiny_run import SETTINGS, Quiet

from zero import backends
from zero.cards import Cards
from zero.cli import main
from zero.commands.top import sparkline
from zero.config import Config, from_table
from zero.metrics import GROUPS, Metrics
from zero.monitor import look
from zero.run import RunDirectory
from zero.supervisor import Stopped, Supervisor
from zero.work import smallest_tenth


def test_every_iteration_has_every_figure(unbroken):
    lines = unbroken.metrics()
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    wanted = {name for group, names in GROUPS.items() if group != "cards" for name in names}
    wanted |= {"policy_loss", "value_loss"}
    for line in lines:
        assert wanted <= line.keys()
        assert line["network_busy"] + line["search_busy"] + line["idle"] == pytest.approx(1)  # one group
        assert 0 < line["network_busy"] < 1 and 0 <= line["data_wait"] < 1
        assert 1 <= line["batch_p10"] <= line["batch"] <= SETTINGS["selfplay"]["lanes"]
        assert line["slowest_sync_ms"] > 0 and line["damaged_stretches"] == 0
        assert 0 < line["window_age_seconds"] <= line["seconds"] + 0.001  # it is rounded
        assert line["memory_bytes"] > 10 << 20 and line["disk_free_bytes"] > 0
    records = list(unbroken.games.read(print))
    assert lines[-1]["positions"] == sum(len(record.moves) for record in records)
    last = [record for record in records if record.version == 3]
    assert lines[-1]["game_length"] == pytest.approx(sum(len(record.moves) for record in last) / len(last))
    assert lines[-1]["draws"] == pytest.approx(sum(record.result == 0 for record in last) / len(last))
    sizes = [sum(len(r.moves) for r in records if r.version == v) for v in range(4)]  # the window holds everything
    age = sum(size * (3 - version) for version, size in enumerate(sizes)) / sum(sizes)
    assert lines[-1]["window_age"] == pytest.approx(age)


def test_the_smallest_tenth_of_batches():
    assert smallest_tenth(Counter()) == 0
    assert smallest_tenth(Counter({64: 90, 3: 10})) == 64 and smallest_tenth(Counter({64: 89, 3: 11})) == 3


def test_cards_tell_what_they_do(monkeypatch):
    class Fault(Exception):
        pass

    nvml = types.SimpleNamespace(
        NVMLError=Fault, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2, nvmlDeviceGetHandleByIndex=lambda k: k,
        nvmlDeviceGetUtilizationRates=lambda k: types.SimpleNamespace(gpu=(50, 100)[k]),
        nvmlDeviceGetMemoryInfo=lambda k: types.SimpleNamespace(used=(3 << 30, 1 << 30)[k]))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    cards = Cards()
    assert cards.report() == {"cards_busy": 0.75, "cards_memory_bytes": 4 << 30}

    def fails(*arguments):
        raise Fault

    nvml.nvmlDeviceGetMemoryInfo = fails  # a driver that goes away
    assert cards.report() == {}
    nvml.nvmlInit = fails
    assert Cards().report() == {}
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Cards().report() == {}


def events(path):
    """The scalars of an event file: its framing is read by hand, its contents by the protocol's own classes."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    data, at = path.read_bytes(), 0
    while at < len(data):
        length = struct.unpack_from("<Q", data, at)[0]
        event = event_pb2.Event.FromString(data[at + 12 : at + 12 + length])
        at += 16 + length
        yield event


def test_tensorboard_files_hold_the_same_figures(unbroken):
    found = {}
    for path in (unbroken.root / "tensorboard").iterdir():
        for event in events(path):
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    for line in unbroken.metrics():
        assert found["loss/policy", line["steps"]] == pytest.approx(line["policy_loss"])
        assert found["self-play/policy_entropy", line["steps"]] == pytest.approx(line["policy_entropy"])
    assert len({tag for tag, _ in found}) > 25


def test_a_resumed_run_hides_what_it_repeats(unbroken, tmp_path):
    pytest.importorskip("tensorboardX")
    shutil.copytree(unbroken.root, tmp_path / "run")
    run = RunDirectory.open(tmp_path / "run")
    shutil.rmtree(run.root / "checkpoints" / "000004")
    Metrics(run).resume(3, run.metrics()[2]["steps"])
    assert len(run.metrics()) == 3
    newest = max((run.root / "tensorboard").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    [restart] = [event for event in events(newest) if event.HasField("session_log")]
    assert restart.step == run.metrics()[2]["steps"] + 1


def test_prometheus_serves_on_loopback_only(tmp_path):
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    run = RunDirectory.create(tmp_path / "run", from_table(Config, SETTINGS, "test"), {})
    metrics, seen = Metrics(run, 0), {}
    port = metrics.prometheus.port

    def scrape():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                seen[family.name] = family.samples[0].value
        return False

    Supervisor(run, backends.make("inline"), 1, Quiet(), scrape, metrics).train()
    lines = {line["iteration"]: line for line in run.metrics()}
    assert seen["zero_iteration"] in (3, 4) and seen["zero_policy_loss"] > 0
    assert any(seen["zero_policy_entropy"] == line["policy_entropy"] for line in lines.values())
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
    assert f"0.0.0.0:{port}" not in listening
    with pytest.raises(OSError):
        scrape()  # closed with the run


def test_a_port_that_is_taken_is_one_line(tmp_path, capsys):
    pytest.importorskip("prometheus_client")
    RunDirectory.create(tmp_path / "run", from_table(Config, SETTINGS, "test"), {})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["train", "--resume", str(tmp_path / "run"), "--metrics-port", str(port)]) == 2
    err = capsys.readouterr().err
    assert f"--metrics-port {port}: Address already in use" in err and err.count("\n") == 1


def top(capsys, run):
    code = main(["top", str(run.root), "--json"])
    out = capsys.readouterr()
    return code, json.loads(out.out), out.err


def test_top_shows_a_finished_run(unbroken, capsys):
    code, found, shown = top(capsys, unbroken)
    assert code == 0 and found["alarms"] == [] and found["status"]["phase"] == "finished"
    assert found["last_iteration"]["iteration"] == 4
    for words in ("finished", "96 games", "simulations/s", "workers' time", "policy loss", "MiB", "free"):
        assert words in shown


def test_top_shows_a_run_before_its_first_word(tmp_path, capsys):
    run = RunDirectory.create(tmp_path / "run", from_table(Config, SETTINGS, "test"), {})
    assert "nothing heard yet" in top(capsys, run)[2]


@pytest.mark.parametrize("change, words", [
    ({"pid": 2**22 + 1}, "is gone without a word"),
    ({"time": 1e9}, "stalled: no sign of life"),
    ({"policy_loss": float("nan")}, "policy_loss is not finite"),
    ({"strikes": 2}, "2 times a worker sent games that were refused"),
    ({"restarts": 1}, "1 workers were replaced"),
    ({"disk_free_bytes": 5 << 20}, "only 5 MiB of disk"),
    ({"memory_free_share": 0.02}, "only 2% of the machine's memory"),
    ({"phase": "failed: the disk is full"}, "failed: the disk is full"),
    ({"workers": [{"worker": 2, "seconds_ago": 99.0, "network": 1, "games": 3, "sims_per_s": 1.0,
                   "memory_bytes": 5, "strikes": 0}]}, "worker 2: nothing heard for 99 s"),
])
def test_alarms(unbroken, tmp_path, capsys, change, words):
    shutil.copytree(unbroken.root, tmp_path / "run")
    run = RunDirectory.open(tmp_path / "run")
    status = json.loads((run.root / "status.json").read_text())
    healthy = status | {"phase": "self-play", "time": time.time(), "pid": os.getpid(), "disk_free_bytes": 2**40,
                        "memory_free_share": 0.5}
    (run.root / "status.json").write_text(json.dumps(healthy))
    assert look(run).alarms == []
    (run.root / "status.json").write_text(json.dumps(healthy | change))
    assert [words in alarm for alarm in look(run).alarms] == [True]
    code, _, shown = top(capsys, run)
    assert code == 1 and words.split()[0] in shown


def test_the_last_word_of_a_run_that_ends_early(tmp_path):
    run = RunDirectory.create(tmp_path / "run", from_table(Config, SETTINGS, "test"), {})
    with pytest.raises(Stopped):
        Supervisor(run, backends.make("inline"), 1, Quiet(), lambda: True).train()
    assert look(run).status["phase"] == "stopped" and look(run).alarms == []


def test_top_on_a_terminal_redraws_until_ctrl_c(unbroken):
    """In a pseudo terminal of its own."""
    import pty
    import signal

    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "zero", "top", str(unbroken.root)])
    shown, deadline = b"", time.monotonic() + 30
    while b"policy loss" not in shown and time.monotonic() < deadline:
        shown += os.read(terminal, 65536)
    os.kill(pid, signal.SIGINT)
    while True:
        try:
            if not os.read(terminal, 65536):
                break
        except OSError:  # the terminal is gone with its process
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130 and b"policy loss" in shown


def test_sparklines():
    assert sparkline([1, 2, 3]) == "▁▅█" or sparkline([1, 2, 3]) == "▁▄█"
    assert sparkline([5.0]) == "▁" and len(sparkline(list(range(1000)))) == 48
    assert sparkline([1, float("nan"), 2]) == "▁?█"
