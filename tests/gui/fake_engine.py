"""An engine for tests: speaks the analysis protocol well, or misbehaves in the way its first argument names.

usage: fake_engine.py good|slow|silent|garbage|crash|crash-once|illegal|error GAME [FILE]
"""

import json
import os
import sys
import threading
import time

MODE, GAME = sys.argv[1], sys.argv[2]
REPORTS = 3
cancelled = set()
lock = threading.Lock()


def say(message) -> None:
    with lock:
        print(json.dumps(message), flush=True)


def position(moves):
    from mcts_ext.games import make

    game = make(GAME)
    state = game.new_state()
    for move in moves:
        state.play(game.text_to_action(move))
    return game, state


def analysis(request, visits: int, done: bool) -> dict:
    """Deterministic numbers that look like an analysis: earlier actions get more visits."""
    game, state = position(request["moves"])
    legal = [int(a) for a in state.legal_actions()]
    weights = [1.0 / (1 + (7 * a) % 11) for a in legal]
    total = sum(weights)
    policy = {game.action_to_text(a): w / total for a, w in zip(legal, weights, strict=True)}
    ranked = sorted(policy.items(), key=lambda item: -item[1])
    moves = []
    for rank, (move, prior) in enumerate(ranked[: request.get("top", 5)]):
        after = state.copy()
        after.play(game.text_to_action(move))
        line = [move]
        while not after.terminal and len(line) < 4:
            action = int(after.legal_actions()[0])
            line.append(game.action_to_text(action))
            after.play(action)
        moves.append({"move": move, "visits": round(visits * prior), "prior": prior, "value": 0.4 - 0.1 * rank,
                      "pv": line})
    answer = {"id": request["id"], "done": done, "best": ranked[0][0] if ranked else None, "visits": visits,
              "value": round(0.6 * (-1) ** len(request["moves"]) / (1 + len(request["moves"])), 3), "moves": moves,
              "policy": policy}
    if GAME.startswith("go"):
        row = [round(1 - 2 * col / (game.cols - 1), 2) for col in range(game.cols)]
        answer["ownership"] = row * game.rows
    return answer


def serve(request) -> None:
    sims = request.get("sims", 100)
    if MODE == "slow":
        time.sleep(1.0)
    for part in range(1, REPORTS):
        if request.get("report_every") and sims and request["id"] not in cancelled:
            say(analysis(request, sims * part // REPORTS, False))
            time.sleep(0.02)
    answer = analysis(request, sims, True)
    if MODE == "illegal":
        answer["best"], answer["moves"] = "Z99", []
    say(answer)


def main() -> None:
    if MODE == "crash" or (MODE == "crash-once" and not os.path.exists(sys.argv[3])):
        if MODE == "crash-once":
            open(sys.argv[3], "w").close()
        sys.stdin.readline()
        sys.exit("RuntimeError: the network file is damaged")
    for line in sys.stdin:
        if MODE == "silent":
            continue
        if MODE == "garbage":
            print("%% not json %%\n" * 30, flush=True)
            continue
        request = json.loads(line)
        if "cancel" in request:
            cancelled.add(request["cancel"])
        elif MODE == "error":
            say({"id": request["id"], "error": "no such move"})
        else:
            serve(request)


if __name__ == "__main__":
    main()
