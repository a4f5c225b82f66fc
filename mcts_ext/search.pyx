"""Many independent searches in lockstep: each step gathers one leaf of every active tree into one batch.

    search = Search(game, n=64, options=SearchOptions(root="gumbel"), seed=1)
    for i in range(64):
        search.start(i, simulations)
    search.run(evaluate)
    search.play(i, search.result(i).best)
"""
cimport cython
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from mcts_ext.backup cimport abandon
from mcts_ext.cache cimport EvaluationCache
from mcts_ext.endgame cimport clear_prover
from mcts_ext.lockstep cimport (
    NETWORK, ROLLOUT, UNIFORM, Batch, Evaluator, apply_slot, bad_row, close_holes, collect_slot, keep_going,
    run_slot, update_active)
from mcts_ext.pool cimport Pool
from mcts_ext.rng cimport mix64, random_unit
from mcts_ext.root cimport best_edge, lower_confidence_bound, most_visited, policy_target
from mcts_ext.settings cimport read_settings
from mcts_ext.simulation cimport begin
from mcts_ext.slot cimport Engine, Slot, free_slot, init_slot
from mcts_ext.state cimport Game, Rules, State, copy_state
from mcts_ext.tree cimport (
    ACTION_BITS, EXPANDED, NO_NODE, PROVEN_BITS, Edge, Node, Tree, clear_tree, edge_action, find_edge, free_tree,
    init_tree, is_solved, keep_subtree, node_edges, node_mean, tree_bytes, unpack_prior)

import numpy as np

from mcts_ext.options import as_options
from mcts_ext.result import UNPROVEN, EvaluationError, SearchResult

_INSIDE = {"uniform": UNIFORM, "rollout": ROLLOUT}
cdef int unproven = UNPROVEN
_STEP = 32                               # simulations of a slot between two looks at `stop`


@cython.no_gc_clear                      # __dealloc__ needs `game`, which the collector of cycles would take away first
cdef class Search:
    """`n` independent trees of one game, each in a slot 0..n-1.

    game: a `Game`. options: `SearchOptions`, a mapping of them, or None. seed: each slot draws from a generator of its
    own, so that what a slot finds does not depend on its neighbours, on the batches or on `threads`. cache: an
    `EvaluationCache`, which other searches may share.

    Values are seen by the player to move. Not thread-safe, but for `cancel`.
    """
    cdef readonly Game game
    cdef readonly object options
    cdef readonly int n
    cdef readonly int threads
    cdef readonly EvaluationCache cache
    cdef Engine engine
    cdef Slot* slots
    cdef Tree spare                      # where a kept subtree is copied to
    cdef Pool pool
    cdef Batch batch
    cdef int num_active                  # slots in the batch that waits for its evaluation
    cdef bint changed                    # searches were started or stopped since that batch
    cdef int num_rows                    # of that batch
    cdef int cancelled
    cdef bint running
    cdef object planes, legal            # numpy arrays of the batch
    cdef int[:, ::1] action_permutations, point_permutations
    # A result is written here and copied: thousands of games ask for theirs between two moves, one thread at a time.
    cdef object visits, sheet, proven    # numpy arrays [A], [4, A] (q, prior, policy, lcb), [A]
    cdef unsigned int[::1] visits_view
    cdef float[:, ::1] sheet_view
    cdef signed char[::1] proven_view

    def __cinit__(self, Game game not None, int n, options=None, seed=0, int threads=1, EvaluationCache cache=None):
        cdef int i
        if n < 1:
            raise ValueError(f"n = {n}: a search needs 1 slot or more")
        if not 1 <= game.num_actions <= ACTION_BITS:
            raise ValueError(f"{game.name}: {game.num_actions} actions, a search takes 1 to {ACTION_BITS}")
        if cache is not None and cache.num_actions != game.num_actions:
            raise ValueError(f"cache: it is of a game with {cache.num_actions} actions, not {game.num_actions}")
        self.game = game
        self.options = as_options(options)
        self.n = n
        self.threads = threads
        self.cache = cache
        self.pool = Pool(threads)
        self.engine.rules = &game.rules
        self.engine.settings = read_settings(self.options)
        self._check_memory()
        self._init_batch()
        self.visits_view = self.visits = np.zeros(game.num_actions, np.uint32)
        self.sheet_view = self.sheet = np.zeros((4, game.num_actions), np.float32)
        self.proven_view = self.proven = np.zeros(game.num_actions, np.int8)
        self.slots = <Slot*>calloc(n, sizeof(Slot))
        if self.slots == NULL or not init_tree(&self.spare, self.options.memory, self.options.transpositions):
            raise MemoryError(f"no memory for {n} searches")
        self.batch.slots = self.slots
        for i in range(n):
            if not init_slot(&self.engine, self.slots + i, self.options.memory):
                raise MemoryError(f"no memory for {n} searches")
            self.reset(i, None, mix64(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF)) + <uint64_t>i)

    def __dealloc__(self):
        cdef int i
        if self.slots != NULL:
            for i in range(self.n):
                free_slot(&self.engine, self.slots + i)
        free(self.slots)
        free(self.batch.active)
        free(self.batch.going)
        free(self.batch.waiting)
        free(self.batch.first_group)
        free_tree(&self.spare)

    # ---- one slot

    def reset(self, int i, State state=None, seed=None):
        """A new game in slot i, from `state` (copied) or the start; with a `seed` of its own if one is given."""
        cdef Slot* slot = self._idle_slot(i)
        if state is None:
            state = self.game.new_state()
        if state.game is not self.game:
            raise ValueError(f"slot {i}: a state of {state.game.name}, this search plays {self.game.name}")
        copy_state(self.engine.rules, slot.state, state.blob)
        clear_tree(&slot.tree)
        slot.ply = 0
        if self.engine.settings.proof_moves:
            clear_prover(&slot.prover)
        slot.root_ready = False
        slot.simulations = 0
        if seed is not None:
            slot.rng = mix64(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF))

    def state(self, int i):
        """A copy of the position at the root of slot i, a `State`."""
        cdef Slot* slot = self._slot(i)
        cdef State state = self.game.new_state()
        copy_state(self.engine.rules, state.blob, slot.state)
        return state

    def play(self, int i, int action):
        """Plays in slot i and keeps what the tree knows below that action. Raises ValueError if it is illegal."""
        cdef Slot* slot = self._idle_slot(i)
        cdef Edge* edge = NULL
        cdef const Node* child = NULL
        self._check_legal(i, action)
        if slot.tree.root != NO_NODE:
            edge = find_edge(&slot.tree, slot.tree.nodes + slot.tree.root, action)
            if edge != NULL and edge.child != NO_NODE:
                child = slot.tree.nodes + edge.child
        self.engine.rules.play(self.engine.rules, slot.state, action)
        slot.ply += 1
        slot.root_ready = False
        slot.simulations = 0
        # A position proven when it was first seen has a value and no moves: as a root it is searched anew.
        if child == NULL or is_solved(child) and not child.flags & EXPANDED:
            clear_tree(&slot.tree)
        else:
            # Without memory for the copy the tree is empty, and grows anew.
            keep_subtree(&slot.tree, &self.spare, edge.child)

    def start(self, int i, simulations, bint noise=True):
        """Slot i shall do that many simulations more, at the next `run`. 0: only the evaluation of the root.

        noise: exploration noise at the root, see SearchOptions.noise_fraction and gumbel_scale.
        """
        cdef Slot* slot = self._idle_slot(i)
        if not 0 <= simulations < 2 ** 31:
            raise ValueError(f"slot {i}: {simulations} simulations: must be from 0 to {2 ** 31 - 1}")
        if self.cancelled and not self.active:
            self.cancelled = 0           # it was for searches that had ended by themselves
        slot.simulations = 0
        slot.target = simulations
        slot.noise = noise
        slot.root_ready = False
        if self.engine.rules.terminal(self.engine.rules, slot.state):
            return
        if not begin(&self.engine, slot):
            raise MemoryError(f"slot {i}: no memory for a tree")
        update_active(slot)
        self.changed = True

    def stop(self, int i):
        """Ends the search of slot i now; its result stands for the simulations done."""
        self._check_running()
        self._stop_slot(self._slot(i))

    def stop_all(self):
        """Ends all searches now, and drops a batch of `collect` that waits for `apply`."""
        self._check_running()
        self._stop_all()

    def cancel(self):
        """Ends all started searches as soon as may be, or when `run` begins. Any thread may call it at any time."""
        self.cancelled = 1

    @property
    def active(self):
        """The slots whose searches are under way, a list of int."""
        return [i for i in range(self.n) if self.slots[i].active]

    def progress(self, int i):
        """(simulations done, simulations wanted, visits of the most visited action, of the second) of slot i."""
        cdef Slot* slot = self._slot(i)
        cdef Node* node
        cdef Edge* edges
        cdef uint32_t first = 0, second = 0
        cdef int k
        if slot.tree.root != NO_NODE:
            node = slot.tree.nodes + slot.tree.root
            edges = node_edges(&slot.tree, node)
            for k in range(node.num_visited):
                if edges[k].visits > first:
                    first, second = edges[k].visits, first
                elif edges[k].visits > second:
                    second = edges[k].visits
        return slot.simulations, slot.target, first, second

    def memory_used(self, int i):
        """Bytes of the tree in slot i."""
        return tree_bytes(&self._slot(i).tree)

    def tree_size(self, int i):
        """(nodes, edges) of the tree in slot i."""
        cdef Slot* slot = self._slot(i)
        return slot.tree.num_nodes, slot.tree.num_edges

    # ---- all slots

    def run(self, evaluate, stop=None):
        """Does all started searches.

        evaluate: "uniform" (equal priors, value 0), "rollout" (equal priors, the result of one random game), or a
        function of (planes float32 [k, rows, cols, planes], legal uint8 [k, A]) that returns (logits float32 [k, A],
        values float32 [k], seen by the player to move); softmax over the legal actions is taken here. The arrays it
        gets are used again for the next batch.
        stop: a function of (search, slot) that is True when a slot shall end early, see `mcts_ext.limits`.

        A batch of `collect` that still waits for `apply` is dropped.

        Raises EvaluationError for NaN or Inf. If `evaluate` or `stop` raises, or `cancel` is called, all searches end.
        """
        if not callable(evaluate) and evaluate not in _INSIDE:
            raise ValueError(f"evaluate = {evaluate!r}: must be 'uniform', 'rollout' or a function")
        self._check_running()
        self._drop_batch()
        try:
            while self.step(evaluate, stop is not None):
                if stop is not None:
                    for i in self.active:
                        if stop(self, i):
                            self.stop(i)
            self.game.raise_error()
        finally:
            self._stop_all()

    cdef bint step(self, evaluate, bint small) except -1:
        """One batch, or with an evaluator that needs no Python all that is wanted (32 simulations of each slot if
        `small`). False when all searches are done."""
        if callable(evaluate):
            self._collect()
            if not self.num_rows:
                return bool(self.active)
            self.apply(*evaluate(self.planes[:self.num_rows], self.legal[:self.num_rows]))
            return True
        return self._run_inside(_INSIDE[evaluate], _STEP if small else 0xFFFFFFFF)

    def collect(self):
        """Walks every active tree to its next leaf. Returns (planes float32 [k, rows, cols, planes], legal uint8
        [k, A]), views that the next call overwrites; k = 0 when all searches are done. `apply` must follow."""
        self._check_running()
        if self.num_rows:
            raise RuntimeError("collect: the batch before waits for apply")
        self._collect()
        while not self.num_rows and self.active:
            self._collect()
        return self.planes[:self.num_rows], self.legal[:self.num_rows]

    cdef _collect(self):
        """One bounded walk of every active tree towards a leaf; `num_rows` of them were found."""
        self._gather_active()
        self.running = True
        with nogil:
            self.pool.run(collect_slot, &self.batch, self.num_active)
        self.running = False
        if self.cancelled:
            self._stop_all()
        self.num_rows = close_holes(&self.batch, self.num_active) * self.batch.rows

    def apply(self, logits, values):
        """Takes the answer to `collect`: logits float32 [k, A], values float32 [k] seen by the player to move.

        Raises ValueError for wrong shapes, EvaluationError for NaN, Inf or a value outside [-1, 1]: then nothing is
        taken over, and `collect` may be called again.
        """
        cdef int bad, rows = self.num_rows
        self._check_running()
        if np.shape(logits) != (rows, self.game.num_actions):
            raise ValueError(f"logits of shape {list(np.shape(logits))}: must be [{rows}, {self.game.num_actions}]")
        if np.size(values) != rows:
            raise ValueError(f"values of shape {list(np.shape(values))}: must be [{rows}]")
        if not rows:
            return
        cdef const float[:, ::1] logits_view = np.ascontiguousarray(logits, np.float32)
        cdef const float[::1] values_view = np.ascontiguousarray(np.reshape(values, -1), np.float32)
        self.batch.logits = &logits_view[0, 0]
        self.batch.values = &values_view[0]
        self.num_rows = 0
        bad = bad_row(&self.batch, rows)
        if bad >= 0:
            self._refuse(bad, logits_view[bad], values_view[bad])
        self.running = True
        with nogil:
            self.pool.run(apply_slot, &self.batch, self.num_active)
        self.running = False

    # ---- what was found

    def result(self, int i):
        """What slot i knows, a `SearchResult`."""
        cdef Slot* slot = self._slot(i)
        cdef const Node* node
        cdef const Edge* edge
        cdef int k, action
        self._check_running()
        if slot.tree.root == NO_NODE or not slot.tree.nodes[slot.tree.root].flags & EXPANDED:
            return self._empty_result(slot)
        self._clear_sheet()
        node = slot.tree.nodes + slot.tree.root
        best = edge_action(best_edge(&self.engine, slot))
        policy_target(&self.engine, slot, slot.scratch)
        for k in range(node.num_edges):
            edge = node_edges(&slot.tree, node) + k
            action = edge_action(edge)
            self.visits_view[action] = edge.visits
            self.sheet_view[1, action] = unpack_prior(edge.prior)
            self.sheet_view[2, action] = slot.scratch[k]
            if edge.visits:
                self.sheet_view[0, action] = edge.q
                self.sheet_view[3, action] = max(lower_confidence_bound(&self.engine.settings, &slot.tree, edge), <float>-1)
            if edge.move & PROVEN_BITS:
                self.proven_view[action] = <int>edge.q
        q, prior, policy, lcb = self.sheet.copy()
        solved = int(node.lower) if is_solved(node) else None
        return SearchResult(self.visits.copy(), q, prior, policy, lcb, self.proven.copy(),
                            node_mean(node) if solved is None else float(solved), node.value, solved, best,
                            self.principal_variation(i, best), slot.simulations)

    cdef void _clear_sheet(self) noexcept:
        cdef int action
        for action in range(self.engine.rules.num_actions):
            self.visits_view[action] = 0
            self.proven_view[action] = <signed char>unproven
            self.sheet_view[0, action] = self.sheet_view[1, action] = self.sheet_view[2, action] = 0
            self.sheet_view[3, action] = -1

    def principal_variation(self, int i, int action):
        """The line that the search expects after `action` in slot i, a list of actions that begins with it."""
        cdef Slot* slot = self._slot(i)
        cdef const Node* node
        cdef const Edge* edge = NULL
        actions = [action]
        self.game.check_action(action)
        if slot.tree.root != NO_NODE:
            edge = find_edge(&slot.tree, slot.tree.nodes + slot.tree.root, action)
        while edge != NULL and edge.child != NO_NODE:
            node = slot.tree.nodes + edge.child
            if not node.num_visited:
                break
            edge = most_visited(&slot.tree, node)
            actions.append(edge_action(edge))
        return actions

    def choose(self, int i, float temperature):
        """An action of slot i, drawn from policy ** (1 / temperature) by the slot's own generator; 0: `result.best`."""
        cdef Slot* slot = self._slot(i)
        result = self.result(i)
        if not temperature >= 0:
            raise ValueError(f"temperature = {temperature}: must be 0 or more")
        if temperature == 0 or result.best < 0:
            return result.best
        with np.errstate(divide="ignore"):
            logits = np.log(result.policy.astype(np.float64)) / temperature
        cumulative = np.cumsum(np.exp(logits - logits.max()))
        return int(np.searchsorted(cumulative, random_unit(&slot.rng) * cumulative.max(), side="right"))

    cdef _empty_result(self, Slot* slot):
        """The game is over, or no evaluation was made and all legal actions are alike."""
        zeros = np.zeros(self.game.num_actions, np.float32)
        visits, lcb, proven = zeros.astype(np.uint32), zeros - 1, np.full(self.game.num_actions, UNPROVEN, np.int8)
        if self.engine.rules.terminal(self.engine.rules, slot.state):
            value = self.engine.rules.outcome(self.engine.rules, slot.state)
            return SearchResult(visits, zeros, zeros, zeros, lcb, proven, value, value, int(value), -1, [], 0)
        legal = np.zeros(self.game.num_actions, np.uint8)
        cdef unsigned char[::1] view = legal
        count = self.engine.rules.legal(self.engine.rules, slot.state, &view[0])
        policy = legal / np.float32(count)
        best = int(legal.argmax())
        return SearchResult(visits, zeros, policy, policy.copy(), lcb, proven, 0.0, 0.0, None, best, [best], 0)

    # ---- inside

    cdef _check_memory(self):
        """Raises ValueError if a tree could not even hold its root."""
        needed = 2 * sizeof(Node) + self.game.rules.num_actions * sizeof(Edge) + 4096 * self.options.transpositions
        if 0 < self.options.memory < needed:
            raise ValueError(f"search.memory = {self.options.memory}: {self.game.name} needs {needed} bytes or more")

    cdef _init_batch(self):
        """The arrays of a batch, large enough for all slots."""
        rules = &self.game.rules
        cdef float[:, :, :, ::1] planes
        cdef unsigned char[:, ::1] legal
        self.action_permutations = np.stack([actions for actions, _ in self.game.symmetries]).astype(np.int32)
        self.point_permutations = np.stack([points for _, points in self.game.symmetries]).astype(np.int32)
        self.engine.num_symmetries = len(self.game.symmetries)
        self.engine.action_permutations = <const int32_t*>&self.action_permutations[0, 0]
        self.engine.point_permutations = <const int32_t*>&self.point_permutations[0, 0]
        memset(&self.batch, 0, sizeof(Batch))
        self.batch.rows = self.engine.num_symmetries if self.options.symmetry == "average" else 1
        rows = self.n * self.engine.settings.leaves * self.batch.rows
        self.planes = np.zeros((rows, rules.rows, rules.cols, rules.planes), np.float32)
        self.legal = np.zeros((rows, rules.num_actions), np.uint8)
        planes, legal = self.planes, self.legal
        self.batch.active = <int*>calloc(self.n, sizeof(int))
        self.batch.going = <uint8_t*>calloc(self.n, sizeof(uint8_t))
        self.batch.waiting = <int*>calloc(self.n, sizeof(int))
        self.batch.first_group = <int*>calloc(self.n, sizeof(int))
        if (self.batch.active == NULL or self.batch.going == NULL or self.batch.waiting == NULL
                or self.batch.first_group == NULL):
            raise MemoryError(f"no memory for {self.n} searches")
        self.batch.engine = &self.engine
        self.batch.row_floats = <size_t>rules.rows * rules.cols * rules.planes
        self.batch.planes = &planes[0, 0, 0, 0]
        self.batch.legal = &legal[0, 0]
        self.batch.cancelled = &self.cancelled
        if self.cache is not None:
            self.batch.cache = &self.cache.table

    cdef Slot* _slot(self, int i) except NULL:
        if not 0 <= i < self.n:
            raise IndexError(f"slot {i}: there are slots 0 to {self.n - 1}")
        return self.slots + i

    cdef Slot* _idle_slot(self, int i) except NULL:
        cdef Slot* slot = self._slot(i)
        self._check_running()
        if slot.active:
            raise RuntimeError(f"slot {i} is searching; stop({i}) ends that")
        return slot

    cdef int _check_running(self) except -1:
        if self.running:
            raise RuntimeError("the search is running in another thread; cancel() ends that")
        return self.game.raise_error()

    cdef int _check_legal(self, int i, int action) except -1:
        cdef Slot* slot = self.slots + i
        cdef const Rules* rules = self.engine.rules
        self.game.check_action(action)
        if rules.terminal(rules, slot.state):
            raise ValueError(f"slot {i}: the game is over, no move can be played")
        rules.legal(rules, slot.state, slot.mask)
        if not slot.mask[action]:
            raise ValueError(f"slot {i}: illegal move {self.game.action_to_text(action)}")
        return 0

    cdef void _gather_active(self):
        cdef int i
        if not self.changed:
            self.num_active = keep_going(&self.batch, self.num_active)
            return
        self.num_active = 0
        self.changed = False
        for i in range(self.n):
            if self.slots[i].active:
                self.batch.active[self.num_active] = i
                self.num_active += 1

    cdef void _drop_batch(self):
        """All searches go back to before their last leaves."""
        cdef int i
        for i in range(self.n):
            abandon(&self.engine.settings, self.slots + i)
        self.num_rows = 0

    cdef void _stop_slot(self, Slot* slot):
        abandon(&self.engine.settings, slot)
        slot.active = False
        self.changed = True

    cdef void _stop_all(self):
        cdef int i
        for i in range(self.n):
            self._stop_slot(self.slots + i)
        self.num_rows = 0
        self.cancelled = 0

    cdef bint _run_inside(self, Evaluator evaluator, uint32_t most) except -1:
        """At most so many simulations of each slot with an evaluator that needs no Python. False when all are done."""
        self._gather_active()
        self.batch.evaluator = evaluator
        self.batch.most = most
        self.running = True
        with nogil:
            self.pool.run(run_slot, &self.batch, self.num_active)
        self.running = False
        return self.num_active > 0 and not self.cancelled

    cdef _refuse(self, int row, logits, value):
        """Raises EvaluationError for a row of the batch, which is dropped."""
        cdef State state = self.game.new_state()
        cdef Slot* slot
        cdef int k, first, i = 0, group = row // self.batch.rows
        for k in range(self.num_active):
            slot = self.slots + self.batch.active[k]
            first = self.batch.first_group[k]
            if first <= group < first + slot.waiting:
                i = self.batch.active[k]
                copy_state(self.engine.rules, state.blob, slot.leaves[group - first].state)
        self._drop_batch()
        raise EvaluationError(
            f"slot {i}: the evaluator answered value {value} and logits "
            f"{np.array2string(np.asarray(logits), precision=3, threshold=20)}; the value must be from -1 to 1 and "
            f"the logits of legal actions finite. The position, with player {state.to_move + 1} to move:\n{state}")
