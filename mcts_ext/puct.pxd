"""PUCT: the choice between a node's edges (Silver et al. 2017, Methods, "Select")."""
from libc.math cimport log, sqrt

from mcts_ext.settings cimport Root, Settings
from mcts_ext.tree cimport Edge, Node, Tree, edge_action, likeliest_unvisited, node_edges, node_mean, unpack_prior


cdef inline float exploration(const Settings* settings, const Node* node) noexcept nogil:
    """c(N) * sqrt(N): what a prior / (1 + n) is multiplied by."""
    cdef float n = <float>(node.visits + node.in_flight)
    cdef float c = settings.c_puct
    if settings.c_puct_factor:
        c += settings.c_puct_factor * <float>log((1 + n + settings.c_puct_base) / settings.c_puct_base)
    return c * <float>sqrt(n)


cdef inline float first_play(const Settings* settings, const Node* node, float reduction, float visited) noexcept nogil:
    """The Q of an unvisited edge. visited: prior mass of the visited ones."""
    return reduction if settings.fpu_absolute else node_mean(node) - reduction * <float>sqrt(visited)


cdef inline Edge* select_puct(const Settings* settings, const Tree* tree, const Node* node) noexcept nogil:
    """The edge with the largest Q + U; the first one wins a tie. Unvisited edges differ by their prior alone, so the
    likeliest stands for them all."""
    cdef float scale = exploration(settings, node)
    cdef float visited = 0, best_score = -1e30, prior, score
    cdef Edge* edge = node_edges(tree, node)
    cdef Edge* end = edge + node.num_visited
    cdef Edge* best = NULL
    while edge < end:
        prior = unpack_prior(edge.prior)
        visited += prior
        score = edge.q + scale * prior / (1 + edge.visits)
        if score > best_score:
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
                                   const Root* root) noexcept nogil:
    """The same with the priors of the root, which have noise."""
    cdef float scale = exploration(settings, node)
    cdef float visited = 0, best_score = -1e30, score, first
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = NULL
    cdef int i
    for i in range(node.num_visited):
        visited += root.prior[edge_action(edges + i)]
    first = first_play(settings, node, settings.root_fpu_value, visited)
    for i in range(node.num_edges):
        score = scale * root.prior[edge_action(edges + i)] / (1 + edges[i].visits)
        score += edges[i].q if i < node.num_visited else first
        if score > best_score:
            best_score = score
            best = edges + i
    return best
