"""PUCT: the choice between a node's edges (Silver et al. 2017, Methods, "Select")."""
from libc.math cimport log, sqrt

from mcts_ext.settings cimport Root, Settings
from mcts_ext.tree cimport (
    PROVEN_LOSS, Edge, Node, Tree, edge_action, likeliest_unvisited, node_edges, node_mean, unpack_prior)


cdef inline float exploration(const Settings* settings, const Node* node) noexcept nogil:
    """c(N) * sqrt(N): what a prior / (1 + n) is multiplied by."""
    cdef float n = <float>(node.visits + node.in_flight)
    cdef float c = settings.c_puct
    if settings.c_puct_factor:
        c += settings.c_puct_factor * <float>log((1 + n + settings.c_puct_base) / settings.c_puct_base)
    if settings.c_puct_stdev:
        c *= 1 + settings.c_puct_stdev * (value_stdev(settings, node) / settings.stdev_prior - 1)
    return c * <float>sqrt(n)


cdef inline float value_stdev(const Settings* settings, const Node* node) noexcept nogil:
    """The standard deviation of the node's values, drawn to stdev_prior as if by stdev_prior_visits more of them."""
    cdef double mean = node_mean(node), weight = settings.stdev_prior_visits
    cdef double spread = node.square_sum - node.visits * mean * mean
    spread += weight * settings.stdev_prior * settings.stdev_prior
    return <float>sqrt(max(spread, 0.0) / (node.visits + weight))


cdef inline float first_play(const Settings* settings, const Node* node, float value, float visited) noexcept nogil:
    """The Q of an unvisited edge (see SearchOptions.fpu). visited: prior mass of the visited ones."""
    return value if settings.fpu_absolute else node_mean(node) - value * <float>sqrt(visited)


cdef inline Edge* select_puct(const Settings* settings, const Tree* tree, const Node* node) noexcept nogil:
    """The edge with the largest Q + U; the first one wins a tie. Unvisited edges differ by their prior alone, so the
    likeliest stands for them all. Lost edges are passed over: a node with no other is solved, none selects there."""
    cdef float scale = exploration(settings, node)
    cdef float visited = 0, best_score = -1e30, prior, score
    cdef Edge* edge = node_edges(tree, node)
    cdef Edge* end = edge + node.num_visited
    cdef Edge* best = edge
    while edge < end:
        prior = unpack_prior(edge.prior)
        visited += prior
        score = edge.q + scale * prior / (1 + edge.visits)
        if score > best_score and edge.move < PROVEN_LOSS:
            best_score = score
            best = edge
        edge += 1
    edge = likeliest_unvisited(tree, node)
    if edge != NULL:
        score = first_play(settings, node, settings.fpu_value, visited) + scale * unpack_prior(edge.prior)
        if score > best_score:
            best = edge
    return best


cdef inline Edge* select_root_puct(const Settings* settings, const Tree* tree, const Node* node,
                                   const Root* root, bint forcing) noexcept nogil:
    """The same with the priors of the root, which have noise, and with forced playouts if `forcing`."""
    cdef float scale = exploration(settings, node)
    cdef float visited = 0, best_score = -1e30, score, first, prior
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = edges
    cdef int i
    for i in range(node.num_visited):
        visited += root.prior[edge_action(edges + i)]
    first = first_play(settings, node, settings.root_fpu_value, visited)
    for i in range(node.num_edges):
        if edges[i].move >= PROVEN_LOSS:
            continue
        prior = root.prior[edge_action(edges + i)]
        if forcing and 0 < edges[i].visits and edges[i].visits < forced_visits(settings, node, prior):
            return edges + i
        score = scale * prior / (1 + edges[i].visits) + (edges[i].q if i < node.num_visited else first)
        if score > best_score:
            best_score = score
            best = edges + i
    return best


cdef inline float forced_visits(const Settings* settings, const Node* node, float prior) noexcept nogil:
    """Visits that a visited action of the root gets whatever its value (Wu 2019, section 3.2)."""
    return <float>sqrt(settings.forced_playouts * prior * (node.visits + node.in_flight - 1))
