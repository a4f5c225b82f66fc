"""Memory of one game's search."""
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from mcts_ext.endgame cimport free_prover, init_prover
from mcts_ext.tree cimport free_tree, init_tree


cdef enum:
    PROOF_TABLE_BITS = 12                # 64 KiB for each game: the caches hold those of many


cdef void* _new_state(const Rules* rules) noexcept nogil:
    cdef void* state = malloc(rules.state_size)
    if state != NULL:
        rules.init(rules, state)
    return state


cdef void _free_state(const Rules* rules, void* state) noexcept nogil:
    if state != NULL and rules.destroy != NULL:
        rules.destroy(rules, state)
    free(state)


cdef bint init_slot(const Engine* engine, Slot* slot, size_t memory) noexcept nogil:
    """memory: bytes of the tree at most, 0 for no limit. False if there is none; free_slot is due all the same."""
    cdef size_t actions = engine.rules.num_actions, plies = engine.rules.max_length + 1
    cdef Leaf* leaf
    cdef int k
    memset(slot, 0, sizeof(Slot))
    slot.state = _new_state(engine.rules)
    slot.root.prior = <float*>malloc(actions * sizeof(float))
    slot.root.gumbel = <float*>malloc(actions * sizeof(float))
    slot.root.old_visits = <uint32_t*>malloc(actions * sizeof(uint32_t))
    slot.mask = <unsigned char*>malloc(actions)
    slot.scratch = <float*>malloc(actions * sizeof(float))
    slot.priors = <float*>malloc(actions * sizeof(float))
    slot.planes = <float*>malloc(sizeof(float) * engine.rules.rows * engine.rules.cols * engine.rules.planes)
    slot.leaves = <Leaf*>calloc(engine.settings.leaves, sizeof(Leaf))
    if (slot.state == NULL or slot.root.prior == NULL or slot.root.gumbel == NULL or slot.root.old_visits == NULL
            or slot.mask == NULL or slot.scratch == NULL or slot.priors == NULL or slot.planes == NULL
            or slot.leaves == NULL):
        return False
    for k in range(engine.settings.leaves):
        leaf = slot.leaves + k
        leaf.state = _new_state(engine.rules)
        leaf.nodes = <uint32_t*>malloc(plies * sizeof(uint32_t))
        leaf.edges = <uint32_t*>malloc(plies * sizeof(uint32_t))
        if leaf.state == NULL or leaf.nodes == NULL or leaf.edges == NULL:
            return False
    if engine.settings.proof_moves and not init_prover(&slot.prover, engine.rules, PROOF_TABLE_BITS):
        return False
    return init_tree(&slot.tree, memory, engine.settings.transpositions)


cdef void free_slot(const Engine* engine, Slot* slot) noexcept nogil:
    cdef int k
    _free_state(engine.rules, slot.state)
    free(slot.root.prior)
    free(slot.root.gumbel)
    free(slot.root.old_visits)
    free(slot.mask)
    free(slot.scratch)
    free(slot.priors)
    free(slot.planes)
    if slot.leaves != NULL:
        for k in range(engine.settings.leaves):
            _free_state(engine.rules, slot.leaves[k].state)
            free(slot.leaves[k].nodes)
            free(slot.leaves[k].edges)
    free(slot.leaves)
    free_prover(&slot.prover)
    free_tree(&slot.tree)
