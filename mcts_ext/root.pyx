"""What only the root does: noise before the search, the choice of a move and the policy target after it."""
from libc.math cimport log, sqrt
from libc.stdint cimport uint32_t
from libc.string cimport memset

from mcts_ext.gumbel cimport best_root_gumbel, improved_policy, start_halving
from mcts_ext.noise cimport dirichlet, gumbel_noise
from mcts_ext.puct cimport exploration, forced_visits
from mcts_ext.tree cimport (
    NO_NODE, PROVEN_BITS, PROVEN_DRAW, PROVEN_LOSS, PROVEN_WIN, edge_action, is_solved, node_edges, unpack_prior)


# ---- before the search

cdef void prepare_root(Engine* engine, Slot* slot) noexcept nogil:
    """Draws the noise of a search and starts sequential halving. The root has its edges."""
    cdef const Settings* settings = &engine.settings
    cdef Node* node = slot.tree.nodes + slot.tree.root
    cdef Edge* edges = node_edges(&slot.tree, node)
    cdef float fraction = settings.noise_fraction if slot.noise else 0
    cdef uint32_t actions
    cdef int i, action
    if fraction:
        _noise(settings, slot, node)
    memset(slot.root.old_visits, 0, engine.rules.num_actions * sizeof(uint32_t))
    for i in range(node.num_edges):
        action = edge_action(edges + i)
        slot.root.prior[action] = unpack_prior(edges[i].prior)
        if fraction:
            slot.root.prior[action] += fraction * (slot.scratch[i] - slot.root.prior[action])
        slot.root.gumbel[action] = settings.gumbel_scale * <float>gumbel_noise(&slot.rng) if slot.noise else 0
        if i < node.num_visited:
            slot.root.old_visits[action] = edges[i].visits
    actions = min(<uint32_t>min(settings.gumbel_actions, <int>node.num_edges), max(slot.target, <uint32_t>1))
    start_halving(&slot.root.halving, actions, slot.target)
    slot.root_ready = True


cdef void _noise(const Settings* settings, Slot* slot, const Node* node) noexcept nogil:
    """Dirichlet noise for each edge into scratch [num_edges].

    Shaped, half of its concentration is spread evenly, half where the prior stands out on a logarithmic scale: moves of
    some promise are tried more often than hopeless ones (KataGo, KataGoMethods, "Shaped Dirichlet noise").
    """
    cdef const Edge* edges = node_edges(&slot.tree, node)
    cdef int n = node.num_edges
    cdef double alpha = settings.noise_alpha if settings.noise_alpha else 10.83 / n
    cdef double mean = 0, shape_sum = 0, shape
    cdef int i
    for i in range(n):
        slot.scratch[i] = <float>alpha
    if settings.noise_shaped:
        for i in range(n):
            slot.priors[i] = <float>log(min(unpack_prior(edges[i].prior), 0.01) + 1e-20)
            mean += slot.priors[i] / n
        for i in range(n):
            shape_sum += max(slot.priors[i] - mean, 0)
        for i in range(n):
            shape = max(slot.priors[i] - mean, 0) / shape_sum if shape_sum > 0 else 1.0 / n
            slot.scratch[i] = <float>(alpha * n * 0.5 * (1.0 / n + shape))
    dirichlet(&slot.rng, slot.scratch, n)


# ---- the move to play

cdef Edge* best_edge(Engine* engine, Slot* slot) noexcept nogil:
    """The root's edge to play: a proven win if there is one, no proven loss if it can be helped."""
    cdef Node* node = slot.tree.nodes + slot.tree.root
    cdef Edge* best
    if engine.settings.root_gumbel:
        if not slot.root_ready:
            prepare_root(engine, slot)
        best = best_root_gumbel(&engine.settings, &slot.tree, node, &slot.root)
    elif engine.settings.lcb and node.num_visited:
        best = _best_by_bound(&engine.settings, &slot.tree, node)
    else:
        best = most_visited(&slot.tree, node)
    if _rank(node, best) < _best_rank(&slot.tree, node):
        return most_visited(&slot.tree, node)
    return best


cdef inline int _rank(const Node* node, const Edge* edge) noexcept nogil:
    """3: proven win; 2: the draw of a proven draw; 1: open, or a draw that open edges may beat; 0: proven loss."""
    cdef int proven = edge.move & PROVEN_BITS
    if proven == PROVEN_DRAW:
        return 2 if is_solved(node) else 1
    return 3 if proven == PROVEN_WIN else 0 if proven == PROVEN_LOSS else 1


cdef int _best_rank(const Tree* tree, const Node* node) noexcept nogil:
    cdef const Edge* edges = node_edges(tree, node)
    cdef int k, best = 0
    for k in range(node.num_edges):
        best = max(best, _rank(node, edges + k))
    return best


cdef Edge* most_visited(const Tree* tree, const Node* node) noexcept nogil:
    """The better rank of proof wins; then the visits, q, the prior, and the smaller action."""
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = edges
    cdef int k
    for k in range(1, node.num_edges):
        if _is_better(node, edges + k, best):
            best = edges + k
    return best


cdef inline bint _is_better(const Node* node, const Edge* a, const Edge* b) noexcept nogil:
    if _rank(node, a) != _rank(node, b):
        return _rank(node, a) > _rank(node, b)
    if a.visits != b.visits:
        return a.visits > b.visits
    if a.q != b.q:
        return a.q > b.q
    if a.prior != b.prior:
        return a.prior > b.prior
    return edge_action(a) < edge_action(b)


cdef float lower_confidence_bound(const Settings* settings, const Tree* tree, const Edge* edge) noexcept nogil:
    """q less lcb_stdevs standard errors; -2 without a visit. One more value, a whole point off, stands for what few
    visits have not shown yet."""
    cdef const Node* child
    cdef double mean, variance
    if edge.child == NO_NODE or not edge.visits or not tree.nodes[edge.child].visits:
        return -2
    if edge.move & PROVEN_BITS:
        return edge.q
    child = tree.nodes + edge.child
    mean = child.value_sum / child.visits
    variance = (max(child.square_sum - child.visits * mean * mean, 0.0) + 1) / (child.visits + 1)
    return <float>(edge.q - settings.lcb_stdevs * sqrt(variance / edge.visits))


cdef Edge* _best_by_bound(const Settings* settings, const Tree* tree, const Node* node) noexcept nogil:
    """The largest lower confidence bound among the actions with a fair share of visits (Leela Zero, KataGo)."""
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = most_visited(tree, node)
    cdef float enough = settings.lcb_visits * best.visits
    cdef float best_bound = lower_confidence_bound(settings, tree, best), bound
    cdef int k
    for k in range(node.num_visited):
        if edges[k].visits < enough:
            continue
        bound = lower_confidence_bound(settings, tree, edges + k)
        if bound > best_bound:
            best_bound = bound
            best = edges + k
    return best


# ---- the policy target

cdef void policy_target(Engine* engine, Slot* slot, float* policy) noexcept nogil:
    """One number for each edge of the root, in their order; they sum to 1."""
    cdef const Settings* settings = &engine.settings
    cdef Node* node = slot.tree.nodes + slot.tree.root
    cdef Edge* edges = node_edges(&slot.tree, node)
    cdef double total = 0
    cdef int k, best
    if settings.root_gumbel:
        improved_policy(settings, &slot.tree, node, policy)
    else:
        for k in range(node.num_edges):
            policy[k] = edges[k].visits if node.num_visited else unpack_prior(edges[k].prior)
        if settings.forced_playouts and slot.noise and slot.root_ready:
            _prune_forced(settings, slot, node, policy)
    if settings.solver:                  # nothing is learned from moves that are proven to be worse
        best = _best_rank(&slot.tree, node)
        for k in range(node.num_edges):
            if _rank(node, edges + k) < best:
                policy[k] = 0
    for k in range(node.num_edges):
        total += policy[k]
    for k in range(node.num_edges):
        policy[k] = <float>(policy[k] / total) if total > 0 else <float>1.0 / node.num_edges


cdef void _prune_forced(const Settings* settings, const Slot* slot, const Node* node, float* policy) noexcept nogil:
    """Takes from each action but the most visited the forced visits that its score did not earn; what is left with one
    visit is dropped (Wu 2019, "Accelerating self-play learning in Go", section 3.2)."""
    cdef Edge* edges = node_edges(&slot.tree, node)
    cdef Edge* top = most_visited(&slot.tree, node)
    cdef float scale = exploration(settings, node)
    cdef float goal = top.q + scale * slot.root.prior[edge_action(top)] / (1 + top.visits)
    cdef float prior, kept, least
    cdef int k
    for k in range(node.num_visited):
        if edges + k == top:
            continue
        prior = slot.root.prior[edge_action(edges + k)]
        # Q + scale * prior / (1 + n) stays below the goal down to this n.
        kept = scale * prior / (goal - edges[k].q) - 1 if goal > edges[k].q else edges[k].visits
        least = edges[k].visits - forced_visits(settings, node, prior)
        policy[k] = min(<float>edges[k].visits, max(max(kept, least), 0))
        if policy[k] <= 1:
            policy[k] = 0
