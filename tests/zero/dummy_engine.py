"""A GTP engine that misbehaves on demand: dummy_engine.py MODE. It plays the first legal move of Go otherwise."""

import os
import subprocess
import sys
import time

mode = sys.argv[1]
free = []
print("dummy engine in mode", mode, file=sys.stderr, flush=True)
if mode == "dead":
    sys.exit(3)
if mode == "child":  # leaves a process behind
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open(sys.argv[2], "w").write(str(child.pid))
for line in sys.stdin:
    words = line.split()
    answer = ""
    if words[0] == "list_commands":
        answer = "boardsize\nclear_board\ngenmove\nplay\nquit"
    elif words[0] == "boardsize":
        free = [c + str(r) for r in range(1, int(words[1]) + 1) for c in "ABCDEFGHJ"[: int(words[1])]]
    elif words[0] == "play" and words[2] in free:
        free.remove(words[2])
    elif words[0] == "genmove":
        if mode == "hang":
            time.sleep(600)
        if mode == "crash":
            print("assertion failed: boom", file=sys.stderr, flush=True)
            os._exit(7)
        if mode == "signal":
            os.kill(os.getpid(), 9)
        if mode == "garbage":
            print("@@@ no answer of any kind", flush=True)
            print(flush=True)
            continue
        if mode == "flood":
            while True:
                print("x" * 1000)
        if mode == "slow":
            time.sleep(1.0)
        answer = {"illegal": "E1", "nonsense": "Q99", "resign": "resign"}.get(mode) or "PASS"
    print(f"= {answer}\n", flush=True)
    if words[0] == "quit" and mode != "child":
        break
