"""Pondering: a search goes on in a thread of its own while the opponent thinks."""
import threading

from mcts_ext.search import Search

WITHOUT_END = 2**31 - 1


class Ponder:
    """Searches slot `slot` from now until `stop`, or the end of a `with` block; its tree is kept by `Search.play`.

        with Ponder(search, 0, evaluate):
            move = wait_for_the_opponent()
        search.play(0, move)

    The search must not be used for anything else meanwhile.
    """

    def __init__(self, search: Search, slot: int, evaluate):
        search.start(slot, WITHOUT_END, noise=False)
        self._search = search
        self._evaluate = evaluate
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ponder", daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._search.run(self._evaluate)
        except BaseException as error:
            self._error = error

    def stop(self) -> None:
        """Ends the search and raises what its evaluator raised, if it did."""
        while self._thread.is_alive():
            self._search.cancel()
            self._thread.join(0.01)
        if self._error is not None:
            raise self._error

    def __enter__(self) -> "Ponder":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.stop()
