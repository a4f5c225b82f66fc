"""Many independent searches in lockstep: each step gathers one leaf of every active tree into one batch.

    search = Search(game, n=64, options=SearchOptions(root="gumbel"), seed=1)
    for i in range(64):
        search.start(i, simulations)
    search.run(evaluate)
    search.play(i, search.result(i).best)
"""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from mcts_ext.gumbel cimport best_root_gumbel, improved_policy
from mcts_ext.pool cimport Pool
from mcts_ext.rng cimport mix64, random_unit
from mcts_ext.simulation cimport (
    NEEDS_EVALUATION, Engine, Leaf, Slot, begin, expand, finish, prepare_root, rollout, select_leaf)
from mcts_ext.state cimport Game, Rules, State, copy_state
from mcts_ext.tree cimport (
    ACTION_BITS, EVALUATED, EXPANDED, NO_NODE, Edge, Node, Tree, clear_tree, edge_action, free_tree, init_tree,
    keep_subtree, node_edges, node_mean, tree_bytes, unpack_prior)

import numpy as np

from mcts_ext.options import as_options
from mcts_ext.result import EvaluationError, SearchResult


cdef extern from "math.h" nogil:
    bint isfinite(double)


cdef enum Evaluator:
    UNIFORM
    ROLLOUT


cdef struct Batch:
    # What the threads of one step share.
    Engine* engine
    Slot* slots
    int* rows                            # slot of each row
    float* planes
    unsigned char* legal
    size_t planes_size                   # floats of one position
    const float* logits
    const float* values
    int evaluator
    int* cancelled


cdef class Search:
    """`n` independent trees of one game, each in a slot 0..n-1.

    game: a `Game`. options: `SearchOptions`, a mapping of them, or None. seed: each slot draws from a generator of its
    own, so that what a slot finds does not depend on its neighbours, on the batches or on `threads`.

    Values are seen by the player to move. Not thread-safe, but for `cancel`.
    """
    cdef readonly Game game
    cdef readonly object options
    cdef readonly int n
    cdef readonly int threads
    cdef Engine engine
    cdef Slot* slots
    cdef Tree spare                      # where a kept subtree is copied to
    cdef Pool pool
    cdef int* rows
    cdef int num_rows                    # of the batch that waits for its evaluation
    cdef int cancelled
    cdef bint running
    cdef float[:, :, :, ::1] planes
    cdef unsigned char[:, ::1] legal
    cdef object planes_array, legal_array

    def __cinit__(self, Game game not None, int n, options=None, seed=0, int threads=1):
        cdef int i
        if n < 1:
            raise ValueError(f"n = {n}: a search needs 1 slot or more")
        if not 1 <= game.num_actions <= ACTION_BITS:
            raise ValueError(f"{game.name}: {game.num_actions} actions, a search takes 1 to {ACTION_BITS}")
        self.game = game
        self.options = as_options(options)
        self.n = n
        self.threads = threads
        self.pool = Pool(threads)
        self._read_options()
        self.planes_array = np.zeros((n, game.rows, game.cols, game.planes), np.float32)
        self.legal_array = np.zeros((n, game.num_actions), np.uint8)
        self.planes = self.planes_array
        self.legal = self.legal_array
        self.rows = <int*>calloc(n, sizeof(int))
        self.slots = <Slot*>calloc(n, sizeof(Slot))
        if self.slots == NULL or self.rows == NULL or not init_tree(&self.spare, self.options.memory, False):
            raise MemoryError(f"no memory for {n} searches")
        for i in range(n):
            if not self._init_slot(self.slots + i):
                raise MemoryError(f"no memory for {n} searches")
            self.reset(i, None, mix64(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF)) + <uint64_t>i)

    def __dealloc__(self):
        cdef int i
        if self.slots != NULL:
            for i in range(self.n):
                self._free_slot(self.slots + i)
        free(self.slots)
        free(self.rows)
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
        cdef uint32_t child = NO_NODE
        cdef Edge* edge
        self._check_legal(i, action)
        edge = _edge_of(slot, action)
        if edge != NULL:
            child = edge.child
        self.engine.rules.play(self.engine.rules, slot.state, action)
        slot.root_ready = False
        slot.simulations = 0
        if child == NO_NODE:
            clear_tree(&slot.tree)
        else:
            # Without memory the tree is empty, and grows anew.
            keep_subtree(&slot.tree, &self.spare, child)

    def start(self, int i, simulations, bint noise=True):
        """Slot i shall do that many simulations more, at the next `run`. 0: only the evaluation of the root.

        noise: exploration noise at the root, see SearchOptions.noise_fraction and gumbel_scale.
        """
        cdef Slot* slot = self._idle_slot(i)
        if not 0 <= simulations < 2 ** 31:
            raise ValueError(f"slot {i}: {simulations} simulations: must be from 0 to {2 ** 31 - 1}")
        slot.simulations = 0
        slot.target = simulations
        slot.noise = noise
        slot.root_ready = False
        if self.engine.rules.terminal(self.engine.rules, slot.state):
            return
        if not begin(&self.engine, slot):
            raise MemoryError(f"slot {i}: no memory for a tree")
        slot.active = True
        _update_active(slot)

    def stop(self, int i):
        """Ends the search of slot i now; its result stands for the simulations done."""
        self._check_running()
        cdef Slot* slot = self._slot(i)
        slot.active = False
        slot.waiting = False

    def cancel(self):
        """Ends all started searches as soon as may be, or when `run` begins. Any thread may call it at any time."""
        self.cancelled = 1

    @property
    def active(self):
        """The slots whose searches are under way, a list of int."""
        return [i for i in range(self.n) if self.slots[i].active]

    def memory_used(self, int i):
        """Bytes of the tree in slot i."""
        return tree_bytes(&self._slot(i).tree)

    def tree_size(self, int i):
        """(nodes, edges) of the tree in slot i."""
        cdef Slot* slot = self._slot(i)
        return slot.tree.num_nodes, slot.tree.num_edges

    # ---- all slots

    def run(self, evaluate):
        """Does all started searches.

        evaluate: "uniform" (equal priors, value 0), "rollout" (equal priors, the result of one random game), or a
        function of (planes float32 [k, rows, cols, planes], legal uint8 [k, A]) that returns (logits float32 [k, A],
        values float32 [k], seen by the player to move); softmax over the legal actions is taken here. The arrays it
        gets are used again for the next batch.

        Raises EvaluationError for NaN or Inf. If `evaluate` raises, or `cancel` is called, all searches end.
        """
        if evaluate == "uniform":
            return self._run_inside(UNIFORM)
        if evaluate == "rollout":
            return self._run_inside(ROLLOUT)
        if not callable(evaluate):
            raise ValueError(f"evaluate = {evaluate!r}: must be 'uniform', 'rollout' or a function")
        try:
            while True:
                planes, legal = self.collect()
                if not len(planes):
                    return
                self.apply(*evaluate(planes, legal))
        except BaseException:
            self._stop_all()
            raise

    def collect(self):
        """Walks every active tree to its next leaf. Returns (planes float32 [k, rows, cols, planes], legal uint8
        [k, A]), views that the next call overwrites; k = 0 when all searches are done. `apply` must follow."""
        cdef Batch batch
        cdef int i, count = 0
        self._check_running()
        if self.num_rows:
            raise RuntimeError("collect: the batch before waits for apply")
        for i in range(self.n):
            if self.slots[i].active:
                self.rows[count] = i
                count += 1
        batch = self._batch()
        self.running = True
        with nogil:
            self.pool.run(_collect_row, &batch, count)
        self.running = False
        if self.cancelled:
            self._stop_all()
        self.num_rows = self._close_holes(count)
        return self.planes_array[:self.num_rows], self.legal_array[:self.num_rows]

    def apply(self, logits, values):
        """Takes the answer to `collect`: logits float32 [k, A], values float32 [k] seen by the player to move.

        Raises ValueError for wrong shapes, EvaluationError for NaN or Inf; all searches go on from where they were.
        """
        cdef const float[:, ::1] logits_view = np.ascontiguousarray(logits, np.float32)
        cdef const float[::1] values_view = np.ascontiguousarray(np.reshape(values, -1), np.float32)
        cdef Batch batch = self._batch()
        cdef int count = self.num_rows
        self._check_running()
        if logits_view.shape[0] != count or logits_view.shape[1] != self.game.rules.num_actions:
            raise ValueError(f"logits of shape {list(np.shape(logits))}: must be [{count}, {self.game.num_actions}]")
        if values_view.shape[0] != count:
            raise ValueError(f"values of shape {list(np.shape(values))}: must be [{count}]")
        self.num_rows = 0
        if not count:
            return
        batch.logits = &logits_view[0, 0]
        batch.values = &values_view[0]
        cdef int bad = _first_bad_row(&batch, count)
        if bad >= 0:
            self._refuse(bad, logits_view[bad], values_view[bad])
        self.running = True
        with nogil:
            self.pool.run(_apply_row, &batch, count)
        self.running = False

    def result(self, int i):
        """What slot i knows, a `SearchResult`."""
        cdef Slot* slot = self._slot(i)
        cdef Node* node
        cdef Edge* edges
        cdef Edge* best
        cdef int k, action, num_actions = self.game.rules.num_actions
        self._check_running()
        visits = np.zeros(num_actions, np.uint32)
        arrays = np.zeros((3, num_actions), np.float32)
        cdef unsigned int[::1] visits_view = visits
        cdef float[:, ::1] view = arrays
        q, prior, policy = arrays
        if self.engine.rules.terminal(self.engine.rules, slot.state):
            value = self.engine.rules.outcome(self.engine.rules, slot.state)
            return SearchResult(visits, q, prior, policy, value, value, -1, [], 0)
        if slot.tree.root == NO_NODE or not slot.tree.nodes[slot.tree.root].flags & EXPANDED:
            return self._empty_result(slot)
        node = slot.tree.nodes + slot.tree.root
        edges = node_edges(&slot.tree, node)
        best = self._best_edge(slot)
        self._policy_target(slot, slot.scratch)
        for k in range(node.num_edges):
            action = edge_action(edges + k)
            visits_view[action] = edges[k].visits
            view[0, action] = edges[k].q
            view[1, action] = unpack_prior(edges[k].prior)
            view[2, action] = slot.scratch[k]
        return SearchResult(visits, q, prior, policy, node_mean(node), node.value, edge_action(best),
                            self._principal_variation(slot, best), slot.simulations)

    def choose(self, int i, float temperature):
        """An action of slot i, drawn from policy ** (1 / temperature) by the slot's own generator; 0: `result.best`."""
        cdef Slot* slot = self._slot(i)
        result = self.result(i)
        if temperature < 0:
            raise ValueError(f"temperature = {temperature}: must be 0 or more")
        if temperature == 0 or result.best < 0:
            return result.best
        with np.errstate(divide="ignore"):
            logits = np.log(result.policy.astype(np.float64)) / temperature
        cumulative = np.cumsum(np.exp(logits - logits.max()))
        return int(np.searchsorted(cumulative, random_unit(&slot.rng) * cumulative[-1], side="right"))

    # ---- inside

    cdef _read_options(self):
        settings = &self.engine.settings
        options = self.options
        self.engine.rules = &self.game.rules
        settings.root_gumbel = options.root == "gumbel"
        settings.interior_gumbel = options.interior == "gumbel"
        settings.c_puct = options.c_puct
        settings.c_puct_factor = options.c_puct_factor
        settings.c_puct_base = options.c_puct_base
        settings.fpu_absolute = options.fpu == "absolute"
        settings.fpu_value = options.fpu_value
        settings.root_fpu_value = options.root_fpu_value
        settings.noise_fraction = options.noise_fraction
        settings.noise_alpha = options.noise_alpha
        settings.gumbel_actions = options.gumbel_actions
        settings.gumbel_scale = options.gumbel_scale
        settings.c_visit = options.c_visit
        settings.c_scale = options.c_scale
        settings.rescale_q = options.rescale_q
        smallest = 2 * sizeof(Node) + self.game.rules.num_actions * sizeof(Edge)
        if 0 < options.memory < smallest:
            raise ValueError(f"search.memory = {options.memory}: {self.game.name} needs {smallest} bytes or more")

    cdef bint _init_slot(self, Slot* slot):
        cdef size_t actions = self.game.rules.num_actions, plies = self.game.rules.max_length + 1
        cdef size_t size = self.game.rules.state_size
        slot.state = malloc(size)
        slot.leaf.state = malloc(size)
        if slot.state == NULL or slot.leaf.state == NULL:
            return False
        self.engine.rules.init(self.engine.rules, slot.state)
        self.engine.rules.init(self.engine.rules, slot.leaf.state)
        slot.leaf.nodes = <uint32_t*>malloc(plies * sizeof(uint32_t))
        slot.leaf.edges = <uint32_t*>malloc(plies * sizeof(uint32_t))
        slot.root.prior = <float*>malloc(actions * sizeof(float))
        slot.root.gumbel = <float*>malloc(actions * sizeof(float))
        slot.root.old_visits = <uint32_t*>malloc(actions * sizeof(uint32_t))
        slot.scratch = <float*>malloc(actions * sizeof(float))
        slot.mask = <unsigned char*>malloc(actions)
        return (slot.leaf.nodes != NULL and slot.leaf.edges != NULL and slot.root.prior != NULL
                and slot.root.gumbel != NULL and slot.root.old_visits != NULL and slot.scratch != NULL
                and slot.mask != NULL and init_tree(&slot.tree, self.options.memory, False))

    cdef void _free_slot(self, Slot* slot):
        if self.engine.rules != NULL and self.engine.rules.destroy != NULL:
            if slot.state != NULL and slot.leaf.state != NULL:
                self.engine.rules.destroy(self.engine.rules, slot.state)
                self.engine.rules.destroy(self.engine.rules, slot.leaf.state)
        free(slot.state)
        free(slot.leaf.state)
        free(slot.leaf.nodes)
        free(slot.leaf.edges)
        free(slot.root.prior)
        free(slot.root.gumbel)
        free(slot.root.old_visits)
        free(slot.scratch)
        free(slot.mask)
        free_tree(&slot.tree)

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
        return 0

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

    cdef _stop_all(self):
        cdef int i
        for i in range(self.n):
            self.slots[i].active = False
            self.slots[i].waiting = False
        self.num_rows = 0
        self.cancelled = 0

    cdef Batch _batch(self):
        cdef Batch batch
        memset(&batch, 0, sizeof(Batch))
        batch.engine = &self.engine
        batch.slots = self.slots
        batch.rows = self.rows
        batch.planes = &self.planes[0, 0, 0, 0]
        batch.legal = &self.legal[0, 0]
        batch.planes_size = <size_t>self.game.rules.rows * self.game.rules.cols * self.game.rules.planes
        batch.cancelled = &self.cancelled
        return batch

    cdef int _close_holes(self, int count):
        """Rows whose slot needed no evaluation are filled by those behind them; how many are left."""
        cdef int row, kept = 0
        cdef size_t size = self._batch().planes_size, actions = self.game.rules.num_actions
        for row in range(count):
            if not self.slots[self.rows[row]].waiting:
                continue
            if kept < row:
                self.rows[kept] = self.rows[row]
                memcpy(&self.planes[0, 0, 0, 0] + kept * size, &self.planes[0, 0, 0, 0] + row * size,
                       size * sizeof(float))
                memcpy(&self.legal[0, 0] + kept * actions, &self.legal[0, 0] + row * actions, actions)
            kept += 1
        return kept

    cdef _refuse(self, int row, logits, value):
        """Raises EvaluationError for a row of a batch; its searches go back to before their last leaves."""
        cdef Slot* slot = self.slots + self.rows[row]
        cdef State state = self.game.new_state()
        copy_state(self.engine.rules, state.blob, slot.leaf.state)
        for i in range(self.n):
            self.slots[i].waiting = False
        raise EvaluationError(
            f"slot {self.rows[row]}: the evaluator answered value {value} and logits "
            f"{np.array2string(np.asarray(logits), precision=3, threshold=20)}; the value must be from -1 to 1 and "
            f"the logits of legal actions finite. The position, with player {state.to_move + 1} to move:\n{state}")

    cdef _run_inside(self, int evaluator):
        """Searches that need no Python: each slot goes through at once."""
        cdef Batch batch = self._batch()
        cdef int i, count = 0
        self._check_running()
        for i in range(self.n):
            if self.slots[i].active:
                self.rows[count] = i
                count += 1
        batch.evaluator = evaluator
        self.running = True
        with nogil:
            self.pool.run(_run_slot, &batch, count)
        self.running = False
        self._stop_all()

    cdef _empty_result(self, Slot* slot):
        """No evaluation was made: all legal actions are alike."""
        legal = np.zeros(self.game.num_actions, np.uint8)
        cdef unsigned char[::1] view = legal
        count = self.engine.rules.legal(self.engine.rules, slot.state, &view[0])
        policy = legal.astype(np.float32) / count
        zeros = np.zeros(self.game.num_actions, np.float32)
        best = int(policy.argmax())
        return SearchResult(zeros.astype(np.uint32), zeros, policy, policy.copy(), 0.0, 0.0, best, [best], 0)

    cdef Edge* _best_edge(self, Slot* slot):
        """The edge to play: sequential halving's winner, or the most visited one."""
        cdef Node* node = slot.tree.nodes + slot.tree.root
        if self.engine.settings.root_gumbel:
            if not slot.root_ready:
                prepare_root(&self.engine, slot)
            return best_root_gumbel(&self.engine.settings, &slot.tree, node, &slot.root)
        return _most_visited(&slot.tree, node)

    cdef void _policy_target(self, Slot* slot, float* policy):
        """One number for each edge of the root, in their order."""
        cdef Node* node = slot.tree.nodes + slot.tree.root
        cdef Edge* edges = node_edges(&slot.tree, node)
        cdef double total = 0
        cdef int k
        if self.engine.settings.root_gumbel:
            improved_policy(&self.engine.settings, &slot.tree, node, policy)
            return
        cdef bint visited = node.num_visited > 0
        for k in range(node.num_edges):
            policy[k] = edges[k].visits if visited else unpack_prior(edges[k].prior)
            total += policy[k]
        for k in range(node.num_edges):
            policy[k] /= <float>total

    cdef list _principal_variation(self, Slot* slot, const Edge* edge):
        cdef const Node* node
        actions = [edge_action(edge)]
        while edge.child != NO_NODE:
            node = slot.tree.nodes + edge.child
            if not node.num_visited:
                break
            edge = _most_visited(&slot.tree, node)
            actions.append(edge_action(edge))
        return actions


# ---- what threads do, without the GIL

cdef void _collect_row(void* context, int row) noexcept nogil:
    """Simulates in the row's slot until a leaf needs an evaluation, and encodes that leaf."""
    cdef Batch* batch = <Batch*>context
    cdef Engine* engine = batch.engine
    cdef Slot* slot = batch.slots + batch.rows[row]
    while slot.active and not slot.waiting and not batch.cancelled[0]:
        if select_leaf(engine, slot, &slot.leaf, False) == NEEDS_EVALUATION:
            slot.waiting = True
            engine.rules.encode(engine.rules, slot.leaf.state, batch.planes + row * batch.planes_size)
            engine.rules.legal(engine.rules, slot.leaf.state, batch.legal + row * engine.rules.num_actions)
        else:
            finish(slot, &slot.leaf, slot.leaf.value)
            _update_active(slot)


cdef void _apply_row(void* context, int row) noexcept nogil:
    cdef Batch* batch = <Batch*>context
    cdef Slot* slot = batch.slots + batch.rows[row]
    cdef size_t actions = batch.engine.rules.num_actions
    if not slot.waiting:                 # stopped meanwhile
        return
    slot.waiting = False
    expand(batch.engine, slot, &slot.leaf, batch.legal + row * actions, _count(batch.legal + row * actions, actions),
           batch.logits + row * actions)
    finish(slot, &slot.leaf, batch.values[row])
    _update_active(slot)


cdef void _run_slot(void* context, int row) noexcept nogil:
    """A whole search with an evaluator that needs no network."""
    cdef Batch* batch = <Batch*>context
    cdef Slot* slot = batch.slots + batch.rows[row]
    cdef Leaf* leaf = &slot.leaf
    while slot.active and not batch.cancelled[0]:
        if select_leaf(batch.engine, slot, leaf, True) == NEEDS_EVALUATION:
            leaf.value = rollout(batch.engine, slot, leaf) if batch.evaluator == ROLLOUT else 0
        finish(slot, leaf, leaf.value)
        if slot.simulations == 0:
            _expand_root(batch.engine, slot)
        _update_active(slot)


cdef inline void _expand_root(Engine* engine, Slot* slot) noexcept nogil:
    """A search of no simulations still knows the root's priors."""
    copy_state(engine.rules, slot.leaf.state, slot.state)
    slot.leaf.length = 0
    expand(engine, slot, &slot.leaf, NULL, 0, NULL)


cdef inline void _update_active(Slot* slot) noexcept nogil:
    slot.active = (slot.simulations < slot.target
                   or not slot.tree.nodes[slot.tree.root].flags & EVALUATED)


cdef inline int _count(const unsigned char* mask, size_t n) noexcept nogil:
    cdef int count = 0
    cdef size_t i
    for i in range(n):
        count += mask[i]
    return count


cdef int _first_bad_row(const Batch* batch, int count) noexcept nogil:
    """The first row whose value or a legal action's logit is no number, -1 if there is none."""
    cdef int row
    cdef size_t action, actions = batch.engine.rules.num_actions
    cdef const unsigned char* legal = batch.legal
    cdef const float* logits = batch.logits
    for row in range(count):
        if not -1.001 <= batch.values[row] <= 1.001:
            return row
        for action in range(actions):
            if legal[action] and not isfinite(logits[action]):
                return row
        legal += actions
        logits += actions
    return -1


cdef Edge* _edge_of(Slot* slot, int action) noexcept nogil:
    """The root's edge of that action, NULL if there is none."""
    cdef Edge* edges
    cdef Node* node
    cdef int k
    if slot.tree.root == NO_NODE:
        return NULL
    node = slot.tree.nodes + slot.tree.root
    edges = node_edges(&slot.tree, node)
    for k in range(node.num_edges):
        if edge_action(edges + k) == action:
            return edges + k
    return NULL


cdef Edge* _most_visited(const Tree* tree, const Node* node) noexcept nogil:
    """Ties go to the larger q, then to the larger prior, then to the smaller action."""
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = edges
    cdef Edge* edge
    cdef int k
    for k in range(1, node.num_edges):
        edge = edges + k
        if edge.visits != best.visits:
            if edge.visits > best.visits:
                best = edge
        elif edge.q != best.q:
            if edge.q > best.q:
                best = edge
        elif edge.prior != best.prior:
            if edge.prior > best.prior:
                best = edge
        elif edge_action(edge) < edge_action(best):
            best = edge
    return best
