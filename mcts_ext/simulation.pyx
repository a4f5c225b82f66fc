"""Selection and expansion; a simulation from its first step to its last."""
from libc.stdint cimport uint32_t, uint64_t

from mcts_ext.backup cimport backup, retract
from mcts_ext.endgame cimport prove
from mcts_ext.gumbel cimport select_gumbel, select_root_gumbel
from mcts_ext.puct cimport select_puct, select_root_puct
from mcts_ext.rng cimport mix64
from mcts_ext.root cimport prepare_root
from mcts_ext.state cimport copy_state
from mcts_ext.tree cimport (
    EVALUATED, EXPANDED, NO_NODE, TERMINAL, Edge, Node, Tree, add_edges, add_node, edge_action, find_node, first_visit,
    is_solved, node_edges, node_mean, pack_prior, reserve_node)


cdef extern from *:
    void prefetch "__builtin_prefetch"(const void*) noexcept nogil


cdef extern from "math.h":
    float expf(float) noexcept nogil


cdef inline uint64_t _position_key(Engine* engine, const Slot* slot, const Leaf* leaf) noexcept nogil:
    """Positions are the same if they look the same at the same ply: so the graph has no cycle."""
    return engine.rules.hash(engine.rules, leaf.state) ^ mix64(slot.ply + leaf.length + 1)


cdef bint begin(Engine* engine, Slot* slot) noexcept nogil:
    """Gives the tree its root if it has none. False if there is no memory for it."""
    if slot.tree.root == NO_NODE and reserve_node(&slot.tree):
        slot.tree.root = add_node(&slot.tree, 0, engine.rules.to_move(engine.rules, slot.state))
    return slot.tree.root != NO_NODE


# ---- select

cdef Selected select_leaf(Engine* engine, Slot* slot, Leaf* leaf, bint grow_uniform) noexcept nogil:
    """Walks from the root to a node that has no evaluation, or whose value is known; fills `leaf`.

    grow_uniform: nodes get edges of equal prior when they are first passed through, so that a leaf costs nothing.
    """
    cdef Tree* tree = &slot.tree
    cdef uint32_t index = tree.root
    cdef Node* node = tree.nodes + index
    cdef Edge* edge
    if not slot.root_ready and node.flags & EXPANDED:
        prepare_root(engine, slot)
    copy_state(engine.rules, leaf.state, slot.state)
    leaf.length = 0
    leaf.nodes[0] = index
    leaf.fresh = leaf.transposed = leaf.in_flight = False
    leaf.before = slot.root.halving
    while True:
        if is_solved(node) or node.flags & TERMINAL:
            leaf.value = node.lower if is_solved(node) else node.value
            return VALUE_KNOWN
        if not node.flags & EVALUATED:
            return _need_evaluation(slot, node, leaf)
        if not node.flags & EXPANDED:
            if grow_uniform and not tree.full:
                expand(engine, slot, leaf, NULL, NULL)
                node = tree.nodes + index
                if leaf.length == 0 and node.flags & EXPANDED:
                    prepare_root(engine, slot)
            if not node.flags & EXPANDED:
                leaf.value = node.value
                return VALUE_KNOWN if tree.full else _need_evaluation(slot, node, leaf)
        edge = _select_edge(engine, slot, node, leaf.length == 0)
        if edge.child == NO_NODE:
            edge = _link(engine, slot, leaf, edge)
            if edge == NULL:             # no memory for a node: the last one is the leaf
                leaf.value = tree.nodes[index].value
                return VALUE_KNOWN
        else:
            prefetch(tree.nodes + edge.child)
            _step(engine, tree, leaf, edge)
        index = edge.child
        node = tree.nodes + index
        prefetch(tree.edges + node.first_edge)
        if engine.settings.transpositions and edge.visits < node.visits:
            leaf.transposed = True
            leaf.value = node_mean(node)
            return VALUE_KNOWN


cdef inline Selected _need_evaluation(Slot* slot, const Node* node, Leaf* leaf) noexcept nogil:
    if not node.in_flight:
        return NEEDS_EVALUATION
    retract(slot, leaf)
    return BLOCKED


cdef inline Edge* _select_edge(Engine* engine, Slot* slot, const Node* node, bint at_root) noexcept nogil:
    if at_root:
        if engine.settings.root_gumbel:
            return select_root_gumbel(&engine.settings, &slot.tree, node, &slot.root)
        return select_root_puct(&engine.settings, &slot.tree, node, &slot.root,
                                slot.noise and engine.settings.forced_playouts > 0)
    if engine.settings.interior_gumbel:
        return select_gumbel(&engine.settings, &slot.tree, node, slot.scratch)
    return select_puct(&engine.settings, &slot.tree, node)


cdef inline void _step(Engine* engine, const Tree* tree, Leaf* leaf, const Edge* edge) noexcept nogil:
    """Plays the edge's action and notes it on the path."""
    engine.rules.play(engine.rules, leaf.state, edge_action(edge))
    leaf.edges[leaf.length] = <uint32_t>(edge - tree.edges)
    leaf.length += 1
    leaf.nodes[leaf.length] = edge.child


cdef Edge* _link(Engine* engine, Slot* slot, Leaf* leaf, Edge* edge) noexcept nogil:
    """Steps along an edge that was never visited, to a new node or to that of the same position; NULL if a new one
    finds no room."""
    cdef Tree* tree = &slot.tree
    cdef uint32_t parent = leaf.nodes[leaf.length], child
    cdef uint64_t key = 0
    if tree.full or not reserve_node(tree):              # asked first, for a step cannot be taken back
        return NULL
    edge = first_visit(tree, tree.nodes + parent, edge)
    _step(engine, tree, leaf, edge)
    leaf.fresh = True
    if engine.settings.transpositions:
        key = _position_key(engine, slot, leaf)
        child = find_node(tree, key)
    else:
        child = NO_NODE
    if child == NO_NODE:
        child = add_node(tree, key, engine.rules.to_move(engine.rules, leaf.state))
        _arrive(engine, slot, tree.nodes + child, leaf)
    edge.child = child
    leaf.nodes[leaf.length] = child
    return edge


cdef inline void _arrive(Engine* engine, Slot* slot, Node* node, Leaf* leaf) noexcept nogil:
    """A new node learns from the rules whether the game is over, and from a proof how it will end."""
    cdef int value
    if engine.rules.terminal(engine.rules, leaf.state):
        node.value = engine.rules.outcome(engine.rules, leaf.state)
        node.flags = TERMINAL | EVALUATED
        if engine.settings.solver:
            node.lower = node.upper = 1 if node.value > 0 else -1 if node.value < 0 else 0
    elif engine.settings.proof_moves and prove(&slot.prover, leaf.state, engine.settings.proof_moves, &value):
        node.value = node.lower = node.upper = value
        node.flags = EVALUATED


# ---- expand

cdef void softmax_legal(const float* logits, const unsigned char* legal, int n, float* priors) noexcept nogil:
    """The softmax of the legal actions' logits; 0 elsewhere. All arrays [n]."""
    cdef float largest = -1e38, total = 0
    cdef int i
    for i in range(n):
        if legal[i] and logits[i] > largest:
            largest = logits[i]
    for i in range(n):
        priors[i] = expf(logits[i] - largest) if legal[i] else 0
        total += priors[i]
    for i in range(n):
        priors[i] /= total


cdef void expand(Engine* engine, Slot* slot, Leaf* leaf, const unsigned char* legal, const float* priors) noexcept nogil:
    """Gives the leaf's node an edge for each legal action; a full tree gives none.

    legal: [A]; NULL: as the rules say. priors: [A]; NULL: all alike.
    """
    cdef Tree* tree = &slot.tree
    cdef uint32_t index = leaf.nodes[leaf.length]
    cdef Edge* edge
    cdef int action, count = 0
    if tree.nodes[index].flags & EXPANDED:
        return
    if legal == NULL:
        engine.rules.legal(engine.rules, leaf.state, slot.mask)
        legal = slot.mask
    for action in range(engine.rules.num_actions):
        count += legal[action]
    if not add_edges(tree, index, count):
        return
    edge = node_edges(tree, tree.nodes + index)
    for action in range(engine.rules.num_actions):
        if legal[action]:
            edge.q = 0
            edge.visits = 0
            edge.child = NO_NODE
            edge.move = action
            edge.prior = pack_prior(priors[action] if priors != NULL else <float>1.0 / count)
            edge += 1
    tree.nodes[index].flags |= EXPANDED


cdef void expand_root(Engine* engine, Slot* slot) noexcept nogil:
    """Edges of equal prior for the root, which a search of no simulations does not pass through."""
    copy_state(engine.rules, slot.leaves[0].state, slot.state)
    slot.leaves[0].length = 0
    slot.leaves[0].nodes[0] = slot.tree.root
    expand(engine, slot, slot.leaves, NULL, NULL)


# ---- the end of a simulation

cdef void finish(Engine* engine, Slot* slot, Leaf* leaf, float value) noexcept nogil:
    """The leaf's node remembers its evaluation, the path its value (seen by the player to move at the leaf)."""
    cdef Node* node = slot.tree.nodes + leaf.nodes[leaf.length]
    cdef bint first = not node.flags & EVALUATED
    if first:
        node.value = value
        node.flags |= EVALUATED
    backup(&engine.settings, &slot.tree, leaf, value)
    if leaf.length or not first:         # the root's own evaluation is not counted
        slot.simulations += 1
