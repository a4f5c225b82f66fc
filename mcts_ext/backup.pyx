"""Backup: what a leaf's value changes on its path, in a tree and in a graph, with and without proofs and virtual loss."""
from libc.stdint cimport uint32_t

from mcts_ext.tree cimport (
    ACTION_BITS, NO_NODE, PROVEN_DRAW, PROVEN_LOSS, PROVEN_WIN, Edge, Node, is_solved, node_edges, node_mean, seen_from)


cdef inline void _add_value(Node* node, float value) noexcept nogil:
    node.visits += 1
    node.value_sum += value
    node.square_sum += value * value


cdef inline float _edge_q(const Settings* settings, const Node* parent, const Node* child) noexcept nogil:
    """A child's mean value as its parent sees it. Each evaluation under way there counts as virtual_loss losses
    (Chaslot et al. 2008); with none, their number alone tells (Liu et al. 2020, WU-UCT)."""
    cdef float losses = settings.virtual_loss * child.in_flight
    cdef float visits = child.visits + losses
    if is_solved(child):
        return seen_from(parent.mover, child, child.lower)
    if losses == 0:
        return seen_from(parent.mover, child, node_mean(child)) if child.visits else node_mean(parent)
    return (seen_from(parent.mover, child, child.value_sum) - losses) / visits


cdef void backup(const Settings* settings, Tree* tree, Leaf* leaf, float value) noexcept nogil:
    """Adds a value, seen by the player to move at the leaf, to every node on its path."""
    cdef Node* child = tree.nodes + leaf.nodes[leaf.length]
    cdef Node* parent
    cdef Edge* edge
    cdef int depth = leaf.length
    cdef bint tightened = is_solved(child)
    if not leaf.transposed:
        _add_value(child, value)
    child.in_flight -= leaf.in_flight
    while depth > 0:
        depth -= 1
        parent = tree.nodes + leaf.nodes[depth]
        edge = tree.edges + leaf.edges[depth]
        parent.in_flight -= leaf.in_flight
        if not leaf.in_flight:           # else it was counted when the path was chosen
            edge.visits += 1
        if tightened or settings.solver and settings.transpositions:   # a child may owe its proof to another path
            _mark_proven(edge, parent, child)
            tightened = _tighten(tree, parent)
        value = seen_from(parent.mover, child, value)
        if is_solved(parent):
            value = parent.lower
        if settings.transpositions:
            _recompute(settings, tree, parent)
        else:
            edge.q = _edge_q(settings, parent, child)
            _add_value(parent, value)
        child = parent
    leaf.in_flight = False


# ---- graph search

cdef void _recompute(const Settings* settings, const Tree* tree, Node* node) noexcept nogil:
    """A node's value is the mean of its own evaluation and of its edges' children, each weighted by the visits of the
    edge: so a child with several parents counts in each as often as that one chose it (Czech, Korus, Kersting 2021;
    Wu, "Monte-Carlo graph search from first principles", 2023)."""
    cdef Edge* edge = node_edges(tree, node)
    cdef Edge* end = edge + node.num_visited
    cdef const Node* child
    cdef double total = node.value, squares = node.value * node.value
    cdef uint32_t visits = 1
    while edge < end:
        child = tree.nodes + edge.child
        edge.q = _edge_q(settings, node, child)
        if child.visits:
            visits += edge.visits
            total += edge.visits * seen_from(node.mover, child, child.lower if is_solved(child) else node_mean(child))
            squares += edge.visits * (child.square_sum / child.visits)
        edge += 1
    node.visits = visits
    node.value_sum = total
    node.square_sum = squares


# ---- proofs

cdef inline void _mark_proven(Edge* edge, const Node* parent, const Node* child) noexcept nogil:
    cdef float value = seen_from(parent.mover, child, child.lower)
    if is_solved(child):
        edge.move = (edge.move & ACTION_BITS) | (PROVEN_WIN if value > 0 else PROVEN_LOSS if value < 0 else PROVEN_DRAW)


cdef bint _tighten(const Tree* tree, Node* node) noexcept nogil:
    """Bounds of a node from those of its children (Cazenave & Saffidine 2010, "Score bounded Monte-Carlo tree search";
    Winands et al. 2008, MCTS-Solver); True if they changed. An unvisited edge is worth -1 to 1."""
    cdef const Edge* edge = node_edges(tree, node)
    cdef const Edge* end = edge + node.num_visited
    cdef const Node* child
    cdef int lower = -1, upper = -1 if node.num_visited == node.num_edges else 1
    while edge < end:
        child = tree.nodes + edge.child
        if child.mover == node.mover:
            lower = max(lower, child.lower)
            upper = max(upper, child.upper)
        else:
            lower = max(lower, -child.upper)
            upper = max(upper, -child.lower)
        edge += 1
    if lower == node.lower and upper == node.upper:
        return False
    node.lower = lower
    node.upper = upper
    return True


# ---- several leaves of one tree

cdef void mark_in_flight(const Settings* settings, Tree* tree, Leaf* leaf) noexcept nogil:
    """Counts an evaluation that is under way, so that the next path is likely another one."""
    cdef Node* child = tree.nodes + leaf.nodes[leaf.length]
    cdef Node* parent
    cdef Edge* edge
    cdef int depth = leaf.length
    leaf.in_flight = True
    child.in_flight += 1
    while depth > 0:
        depth -= 1
        parent = tree.nodes + leaf.nodes[depth]
        edge = tree.edges + leaf.edges[depth]
        parent.in_flight += 1
        edge.visits += 1
        edge.q = _edge_q(settings, parent, child)
        child = parent


cdef void abandon(const Settings* settings, Slot* slot) noexcept nogil:
    """Takes back all leaves that await their evaluation, the last first, as if they had never been chosen."""
    cdef Tree* tree = &slot.tree
    cdef Leaf* leaf
    cdef Node* parent
    cdef Edge* edge
    cdef int depth
    while slot.waiting:
        slot.waiting -= 1
        leaf = slot.leaves + slot.waiting
        tree.nodes[leaf.nodes[leaf.length]].in_flight -= leaf.in_flight
        for depth in range(leaf.length - 1, -1, -1):
            parent = tree.nodes + leaf.nodes[depth]
            edge = tree.edges + leaf.edges[depth]
            parent.in_flight -= leaf.in_flight
            edge.visits -= leaf.in_flight
            edge.q = _edge_q(settings, parent, tree.nodes + leaf.nodes[depth + 1])
        retract(slot, leaf)


cdef void retract(Slot* slot, Leaf* leaf) noexcept nogil:
    """Forgets a path that nothing counts yet: its last edge, if it was new, and its turn of sequential halving."""
    cdef Node* parent
    cdef Edge* edge
    cdef Edge* last
    cdef Edge forgotten
    slot.root.halving = leaf.before
    if leaf.fresh:
        parent = slot.tree.nodes + leaf.nodes[leaf.length - 1]
        edge = slot.tree.edges + leaf.edges[leaf.length - 1]
        # The last visited edge takes its place. No path that still waits holds that one: it is younger than they.
        parent.num_visited -= 1
        last = node_edges(&slot.tree, parent) + parent.num_visited
        forgotten = edge[0]
        edge[0] = last[0]
        last[0] = forgotten
        last.child = NO_NODE
        leaf.fresh = False
