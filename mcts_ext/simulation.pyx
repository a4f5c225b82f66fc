"""Selection, expansion and backup of one simulation."""
from libc.math cimport exp
from libc.stdint cimport uint32_t
from libc.string cimport memset

from mcts_ext.gumbel cimport select_gumbel, select_root_gumbel, start_halving
from mcts_ext.noise cimport dirichlet, gumbel_noise
from mcts_ext.puct cimport select_puct, select_root_puct
from mcts_ext.state cimport copy_state
from mcts_ext.tree cimport (
    EVALUATED, EXPANDED, NO_NODE, TERMINAL, Edge, Node, add_edges, add_node, edge_action, first_visit, node_edges,
    node_mean, pack_prior, seen_from, unpack_prior)


cdef extern from *:
    void prefetch "__builtin_prefetch"(const void*) noexcept nogil


cdef bint begin(Engine* engine, Slot* slot) noexcept nogil:
    """Gives the tree its root if it has none. False if there is no memory for it."""
    if slot.tree.root == NO_NODE:
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
    copy_state(engine.rules, leaf.state, slot.state)
    leaf.length = 0
    leaf.nodes[0] = index
    while True:
        if node.flags & TERMINAL:
            leaf.value = node.value
            return VALUE_KNOWN
        if not node.flags & EVALUATED:
            return NEEDS_EVALUATION
        if not node.flags & EXPANDED:
            if grow_uniform and not tree.full:
                expand(engine, slot, leaf, NULL, 0, NULL)
                node = tree.nodes + index
            if not node.flags & EXPANDED:
                leaf.value = node.value
                return VALUE_KNOWN if tree.full else NEEDS_EVALUATION
        edge = _select_edge(engine, slot, node, leaf.length == 0)
        if edge.child == NO_NODE:
            index = add_node(tree, 0, 0)
            if index == NO_NODE:
                leaf.value = node.value
                return VALUE_KNOWN
            node = tree.nodes + leaf.nodes[leaf.length]      # the nodes may have moved
            edge = first_visit(tree, node, edge)
            edge.child = index
            _step(engine, tree, leaf, edge)
            return _arrive(engine, tree.nodes + index, leaf)
        prefetch(tree.nodes + edge.child)
        _step(engine, tree, leaf, edge)
        index = leaf.nodes[leaf.length]
        node = tree.nodes + index
        prefetch(tree.edges + node.first_edge)


cdef inline Edge* _select_edge(Engine* engine, Slot* slot, const Node* node, bint at_root) noexcept nogil:
    if at_root:
        if not slot.root_ready:
            prepare_root(engine, slot)
        if engine.settings.root_gumbel:
            return select_root_gumbel(&engine.settings, &slot.tree, node, &slot.root)
        return select_root_puct(&engine.settings, &slot.tree, node, &slot.root)
    if engine.settings.interior_gumbel:
        return select_gumbel(&engine.settings, &slot.tree, node, slot.scratch)
    return select_puct(&engine.settings, &slot.tree, node)


cdef inline void _step(Engine* engine, const Tree* tree, Leaf* leaf, const Edge* edge) noexcept nogil:
    """Plays the edge's action and notes it on the path."""
    engine.rules.play(engine.rules, leaf.state, edge_action(edge))
    leaf.edges[leaf.length] = <uint32_t>(edge - tree.edges)
    leaf.length += 1
    leaf.nodes[leaf.length] = edge.child


cdef inline Selected _arrive(Engine* engine, Node* node, Leaf* leaf) noexcept nogil:
    """A node met for the first time learns from the rules who moves there and whether the game is over."""
    node.mover = engine.rules.to_move(engine.rules, leaf.state)
    if not engine.rules.terminal(engine.rules, leaf.state):
        return NEEDS_EVALUATION
    node.value = engine.rules.outcome(engine.rules, leaf.state)
    node.flags = TERMINAL | EVALUATED
    leaf.value = node.value
    return VALUE_KNOWN


cdef void prepare_root(Engine* engine, Slot* slot) noexcept nogil:
    """Draws the noise of a search and starts sequential halving. The root has its edges."""
    cdef const Settings* settings = &engine.settings
    cdef Root* root = &slot.root
    cdef Node* node = slot.tree.nodes + slot.tree.root
    cdef Edge* edges = node_edges(&slot.tree, node)
    cdef float fraction = settings.noise_fraction if slot.noise else 0
    cdef float alpha = settings.noise_alpha if settings.noise_alpha else <float>10.83 / node.num_edges
    cdef uint32_t actions
    cdef int i, action
    if fraction:
        dirichlet(&slot.rng, alpha, node.num_edges, slot.scratch)
    memset(root.old_visits, 0, engine.rules.num_actions * sizeof(uint32_t))
    for i in range(node.num_edges):
        action = edge_action(edges + i)
        root.prior[action] = unpack_prior(edges[i].prior)
        if fraction:
            root.prior[action] += fraction * (slot.scratch[i] - root.prior[action])
        root.gumbel[action] = settings.gumbel_scale * gumbel_noise(&slot.rng) if slot.noise else 0
        if i < node.num_visited:
            root.old_visits[action] = edges[i].visits
    actions = min(<uint32_t>min(settings.gumbel_actions, <int>node.num_edges), max(slot.target, <uint32_t>1))
    start_halving(&root.halving, actions, slot.target)
    slot.root_ready = True


# ---- expand

cdef void expand(Engine* engine, Slot* slot, Leaf* leaf, const unsigned char* legal, int count,
                 const float* logits) noexcept nogil:
    """Gives the leaf's node its edges, with the softmax of the legal actions' logits as priors; without logits, equal
    priors for the actions that the rules allow. A full tree leaves it without edges."""
    cdef Tree* tree = &slot.tree
    cdef uint32_t index = leaf.nodes[leaf.length]
    cdef Edge* edge
    cdef float largest = -1e30, total = 0, scale
    cdef int action, num_actions = engine.rules.num_actions
    if logits == NULL:
        count = engine.rules.legal(engine.rules, leaf.state, slot.mask)
        legal = slot.mask
    if tree.nodes[index].flags & EXPANDED or not add_edges(tree, index, count):
        return
    if logits != NULL:
        for action in range(num_actions):
            if legal[action] and logits[action] > largest:
                largest = logits[action]
        for action in range(num_actions):
            if legal[action]:
                slot.scratch[action] = <float>exp(logits[action] - largest)
                total += slot.scratch[action]
    scale = 1 / total if logits != NULL else <float>1.0 / count
    edge = node_edges(tree, tree.nodes + index)
    for action in range(num_actions):
        if legal[action]:
            edge.q = 0
            edge.visits = 0
            edge.child = NO_NODE
            edge.move = action
            edge.prior = pack_prior(scale * slot.scratch[action] if logits != NULL else scale)
            edge += 1
    tree.nodes[index].flags |= EXPANDED


# ---- evaluate without a network

cdef float rollout(Engine* engine, Slot* slot, Leaf* leaf) noexcept nogil:
    """The result of random moves from the leaf to the end, for the player to move there. Uses up the leaf's state."""
    return engine.rules.playout(engine.rules, leaf.state, &slot.rng)


# ---- backup

cdef inline void _add_value(Node* node, float value) noexcept nogil:
    node.visits += 1
    node.value_sum += value
    node.square_sum += value * value


cdef void backup(Slot* slot, Leaf* leaf, float value) noexcept nogil:
    """Adds a value, seen by the player to move at the leaf, to every node on its path."""
    cdef Tree* tree = &slot.tree
    cdef Node* child = tree.nodes + leaf.nodes[leaf.length]
    cdef Node* parent
    cdef Edge* edge
    cdef int depth = leaf.length
    _add_value(child, value)
    while depth > 0:
        depth -= 1
        parent = tree.nodes + leaf.nodes[depth]
        edge = tree.edges + leaf.edges[depth]
        edge.visits += 1
        edge.q = seen_from(parent.mover, child, node_mean(child))
        value = seen_from(parent.mover, child, value)
        _add_value(parent, value)
        child = parent


cdef void finish(Slot* slot, Leaf* leaf, float value) noexcept nogil:
    """The last step of a simulation: the node remembers its evaluation, the path its value."""
    cdef Node* node = slot.tree.nodes + leaf.nodes[leaf.length]
    cdef bint first = not node.flags & EVALUATED
    if first:
        node.value = value
        node.flags |= EVALUATED
    backup(slot, leaf, value)
    if leaf.length or not first:         # the root's own evaluation is not counted
        slot.simulations += 1
