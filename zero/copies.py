"""The copies of a run that replay stores keep on other machines.

Each store is sent, in order, what happens to the run: games as they come, files at the end of an iteration. So a copy
is the run as it was a moment ago, and nobody waits for it. A store that was away is asked what it has, and sent the
rest.
"""

import hashlib
import time
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from zero.backends import Backend, Call, WorkerDied
from zero.errors import UserError, storage_fault
from zero.files import sha256
from zero.game_log import REFUSED, scan
from zero.record import GameRecord, frame
from zero.run import IDENTITY, RunDirectory
from zero.store import Inventory, ReplayStore, run_files

BATCH = 256  # games in one call
MOST_PENDING = 50_000  # games and files that may wait for a store; one that is further behind begins anew later
PATIENCE = 60.0  # seconds that a start waits for the stores to open, and an end for them to have everything
RETRY_SECONDS = 10.0


@dataclass(eq=False)
class Store:
    """A replay store and what it has yet to be sent: first `backlog`, then `pending`, frames of games and tasks."""

    node: Any
    handle: Any
    call: Call | None
    opened: bool = False
    files: dict[str, str] = field(default_factory=dict)  # name -> SHA-256 of what was sent, or is to be
    backlog: Iterator[bytes] | None = None
    pending: deque[bytes | tuple] = field(default_factory=deque)

    @property
    def behind(self) -> bool:
        return self.call is not None or self.backlog is not None or bool(self.pending)


class Copies:
    """Keeps copies of `run` in `directory` of every node of the backend with a disk; without a directory, none.

    `warn` is told about stores that fail; the run goes on without them, and tries again.
    """

    def __init__(self, run: RunDirectory, backend: Backend, directory: str | None, warn: Callable[[str], None]):
        self.run, self.backend, self.directory, self.warn = run, backend, directory, warn
        self._stores: list[Store] = []
        self._games: dict[int, int] = {}  # those of the run, with their CRC-32
        self._digests: dict[Path, tuple[tuple[int, int], str]] = {}  # of files, as long as their time and size stay
        self._told: dict[str, str] = {}  # what was said last about a node's store
        self._sought = -RETRY_SECONDS  # when nodes were last looked for
        self._at_work = False

    def open(self) -> None:
        """Opens the stores, and brings back to the log the games that they have and it has lost.

        Raises `UserError` if there are no nodes with a disk, or one of them is not fit for this.
        """
        if self.directory is None:
            return
        self._games = {number: place.checksum for number, place in self.run.games.places(self.warn).items()}
        self._seek()
        if not self._stores:
            raise UserError(
                f"--stores {self.directory}: no node but the driver's has a disk to give; start one with "
                """ray start --address=... --resources='{"disk": 1}' (docs/cluster.md)"""
            )
        deadline = time.monotonic() + PATIENCE
        while (closed := [s for s in self._stores if not s.opened]) and time.monotonic() < deadline:
            for store, inventory in self._answers(closed, timeout=1.0, strict=True):
                self._recover(store, inventory)
                if store in self._stores:
                    self._begin(store, inventory)
        self._at_work = True

    def report(self) -> dict[str, int]:
        """How many stores there are, and how many games and files the slowest has yet to be sent."""
        if self.directory is None:
            return {}
        behind = max((len(store.pending) for store in self._stores), default=0)
        return {"stores": sum(store.opened for store in self._stores), "stores_behind": behind}

    # what happens to the run

    def add(self, record: GameRecord) -> None:
        """A game that was appended to the log."""
        if self.directory is not None:
            payload = record.to_bytes()
            self._games[record.index] = zlib.crc32(payload)
            self._tell(frame(payload))

    def withdraw(self, numbers: Collection[int]) -> None:
        """Games that were taken out of the log."""
        for number in numbers:
            self._games.pop(number, None)
        for store in [s for s in self._stores if s.backlog is not None]:  # it reads from where nothing is any more
            self._end(store)
            self._start(store.node)
        self._tell(("withdraw", list(numbers)))

    def commit(self) -> None:
        """The files of an iteration are on the disk."""
        for store in self._stores:
            if store.opened:
                self._tell_files(store)
        self.pump()

    def _tell(self, news: bytes | tuple) -> None:
        for store in [s for s in self._stores if s.opened]:
            store.pending.append(news)
            if len(store.pending) > MOST_PENDING:
                self._lose(store, "it is too slow")

    def _tell_files(self, store: Store) -> None:
        """Whatever it has not, or has otherwise."""
        for path in run_files(self.run.root):
            name, digest = str(path.relative_to(self.run.root)), self._digest(path)
            if store.files.get(name) != digest:
                store.files[name] = digest
                store.pending.append(("put", name))

    def _digest(self, path: Path) -> str:
        stat = path.stat()
        state = stat.st_mtime_ns, stat.st_size
        if path not in self._digests or self._digests[path][0] != state:
            self._digests[path] = state, sha256(path)
        return self._digests[path][1]

    # the stores

    def pump(self, timeout: float = 0.0) -> None:
        """Hears the stores' answers and sends what waits for them. To be called often."""
        if self.directory is None:
            return
        self._seek()
        for store, answer in self._answers(self._stores, timeout):
            if isinstance(answer, Inventory):
                self._begin(store, answer)
        for store in self._stores:
            if store.call is None and store.opened and (task := self._next(store)):
                store.call = self.backend.call(store.handle, *task)

    def close(self) -> None:
        """Waits until the stores have everything, also those that are lost at the moment, but not for ever."""
        if self._at_work:
            self._sought, deadline = -RETRY_SECONDS, time.monotonic() + PATIENCE
            self.pump()
            while any(store.behind for store in self._stores) and time.monotonic() < deadline:
                self.pump(timeout=0.2)
        for store in self._stores:
            if store.behind and self._at_work:
                self.warn(f"{self._name(store)}: not everything was sent there; the next start does it")
            self.backend.kill(store.handle)
        self._stores.clear()

    def _seek(self) -> None:
        """Starts a store on each node that has a disk and none."""
        if time.monotonic() - self._sought < RETRY_SECONDS:
            return
        self._sought, have = time.monotonic(), {store.node.id for store in self._stores}
        for node in self.backend.disks():
            if node.id not in have:
                self._start(node)

    def _start(self, node: Any) -> None:
        root = self.run.root.resolve()
        handle = self.backend.spawn_on(node, ReplayStore, self.directory, root.name)
        call = self.backend.call(handle, "open", (root / IDENTITY).read_bytes())
        self._stores.append(Store(node, handle, call))

    def _answers(self, stores: list[Store], timeout: float, strict: bool = False) -> Iterable[tuple[Store, Any]]:
        """What came back; a store that failed is lost. With `strict` what people have to mend raises `UserError`."""
        calls = {store.call: store for store in stores if store.call is not None}
        for call in self.backend.wait(list(calls), timeout=timeout) if calls else ():
            store = calls[call]
            store.call = None
            try:
                answer = call.result()
            except UserError as error:
                if strict:
                    self._end(store)
                    raise UserError(f"{self._name(store)}: {error}") from None
                self._lose(store, str(error))
            except (WorkerDied, OSError, ValueError) as error:
                self._lose(store, (isinstance(error, OSError) and storage_fault(error)) or str(error))
            else:
                yield store, answer

    def _name(self, store: Store) -> str:
        return f"store on {store.node.address}"

    def _lose(self, store: Store, why: str) -> None:
        self._end(store)
        self._sought = time.monotonic()  # not before a while
        if self._told.get(store.node.id) != why:
            self._told[store.node.id] = why
            self.warn(f"{self._name(store)}: {why}; the run goes on without it, and tries again")

    def _end(self, store: Store) -> None:
        self.backend.kill(store.handle)
        self._stores.remove(store)

    # catching up

    def _recover(self, store: Store, inventory: Inventory) -> None:
        """Games that it has and the log has not, but those that were taken out on purpose, go back into the log."""
        games = self.run.games
        refused = {zlib.crc32(record.to_bytes()) for record in games.aside(REFUSED)}
        unwanted = self._games.keys() | games.quarantined()
        lost = [n for n, checksum in inventory.games.items() if n not in unwanted and checksum not in refused]
        back = 0
        for start in range(0, len(lost), BATCH):
            store.call = self.backend.call(store.handle, "fetch", lost[start : start + BATCH])
            answers: list[tuple[Store, bytes]] = []
            while store.call is not None:
                answers += self._answers([store], timeout=1.0)
            if not answers:
                break  # it was lost
            for payload in (payload for _, _, payload in scan(answers[0][1]) if payload is not None):
                record = GameRecord.from_bytes(payload)
                games.append(record)
                self.add(record)
                back += 1
        if back:
            games.sync()
            self.warn(f"{self._name(store)}: had {back} games that this disk had not; they are here again")

    def _begin(self, store: Store, inventory: Inventory) -> None:
        """From here on it hears what happens; first come the differences."""
        for text in inventory.damage:
            self.warn(f"{self._name(store)}: {text}")
        ours, theirs = self._games, inventory.games
        extra = [number for number, checksum in theirs.items() if ours.get(number) != checksum]
        missing = [number for number, checksum in ours.items() if theirs.get(number) != checksum]
        store.opened, store.files = True, dict(inventory.files)
        if extra:
            store.call = self.backend.call(store.handle, "withdraw", extra)
        if missing:
            places = self.run.games.places(self.warn)
            found = self.run.games.fetch(sorted(places[number] for number in missing))
            store.backlog = (frame(record.to_bytes()) for record in found)
        self._tell_files(store)
        self._told.pop(store.node.id, None)

    def _next(self, store: Store) -> tuple | None:
        """The next call: a method and its arguments."""
        if store.backlog is not None:
            if frames := list(islice(store.backlog, BATCH)):
                return "append", b"".join(frames)
            store.backlog = None
        frames = []
        while store.pending and len(frames) < BATCH and isinstance(store.pending[0], bytes):
            frames.append(store.pending.popleft())
        if frames:
            return "append", b"".join(frames)
        while store.pending:
            task = store.pending.popleft()
            if task[0] != "put":
                return task
            try:
                data = (self.run.root / task[1]).read_bytes()
            except FileNotFoundError:
                continue  # a checkpoint that was thinned out meanwhile
            return "put", task[1], data, hashlib.sha256(data).hexdigest()
        return None
