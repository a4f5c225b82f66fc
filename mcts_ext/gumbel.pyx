"""Planning with Gumbel (Danihelka, Guez, Schrittwieser, Silver: "Policy improvement by planning with Gumbel", 2022)."""
from libc.math cimport exp, log
from libc.stdint cimport uint32_t

from mcts_ext.tree cimport edge_action, node_edges, node_mean, unpack_prior


cdef void start_halving(Halving* halving, int actions, uint32_t budget) noexcept nogil:
    """Sequential halving (Karnin et al. 2013) of `budget` simulations over `actions`, which must be 1 or more."""
    halving.considered = actions
    halving.rounds = 1
    while 1 << halving.rounds < actions:
        halving.rounds += 1
    halving.budget = budget
    halving.level = 0
    halving.place = 0
    halving.sweeps = _sweeps(halving)


cdef inline int _sweeps(const Halving* halving) noexcept nogil:
    """Visits of each action still considered, before half of them are dropped."""
    cdef int sweeps = <int>(halving.budget / (<uint32_t>halving.rounds * halving.considered))
    return sweeps if sweeps > 1 else 1


cdef uint32_t next_level(Halving* halving) noexcept nogil:
    """The visit count, in this search, of the actions among which the next simulation chooses."""
    cdef uint32_t level = halving.level
    halving.place += 1
    if halving.place == halving.considered:
        halving.place = 0
        halving.level += 1
        halving.sweeps -= 1
        if halving.sweeps == 0 and halving.considered > 1:
            halving.considered = halving.considered // 2 if halving.considered > 3 else 2
            halving.sweeps = _sweeps(halving)
    return level


cdef float mixed_value(const Tree* tree, const Node* node) noexcept nogil:
    """v_mix, the value of actions never visited (ibid., appendix D, equation 33)."""
    cdef Edge* edges = node_edges(tree, node)
    cdef double prior_sum = 0, q_sum = 0, visits = 0, prior
    cdef int i
    for i in range(node.num_visited):
        prior = unpack_prior(edges[i].prior)
        prior_sum += prior
        q_sum += prior * edges[i].q
        visits += edges[i].visits
    if visits == 0:
        return node.value
    return <float>((node.value + visits * q_sum / prior_sum) / (1 + visits))


cdef struct Sigma:
    float offset, scale                  # sigma(q) = scale * (q - offset)
    float unvisited                      # q of actions never visited


cdef Sigma _sigma(const Settings* settings, const Tree* tree, const Node* node) noexcept nogil:
    """sigma of this node (ibid., equation 8), and the q that completes it."""
    cdef Sigma sigma
    cdef Edge* edges = node_edges(tree, node)
    cdef uint32_t most = 0
    cdef int i
    cdef float low, high
    sigma.unvisited = mixed_value(tree, node)
    low = high = sigma.unvisited
    for i in range(node.num_visited):
        most = max(most, edges[i].visits)
        low = min(low, edges[i].q)
        high = max(high, edges[i].q)
    sigma.scale = (settings.c_visit + most) * settings.c_scale
    sigma.offset = -1
    if not settings.rescale_q:
        sigma.scale *= 0.5               # q from [-1, 1] to [0, 1]
    else:
        sigma.offset = low
        sigma.scale /= max(high - low, <float>1e-8)
    return sigma


cdef inline float _transformed(const Sigma* sigma, const Node* node, const Edge* edges, int i) noexcept nogil:
    return sigma.scale * ((edges[i].q if i < node.num_visited else sigma.unvisited) - sigma.offset)


cdef inline float _logit(const Edge* edge) noexcept nogil:
    return <float>log(unpack_prior(edge.prior))


cdef void improved_policy(const Settings* settings, const Tree* tree, const Node* node, float* policy) noexcept nogil:
    """softmax(logits + sigma(completed q)) (ibid., equation 11), one number for each edge in its order."""
    cdef Sigma sigma = _sigma(settings, tree, node)
    cdef Edge* edges = node_edges(tree, node)
    cdef float largest = -1e30, total = 0
    cdef int i
    for i in range(node.num_edges):
        policy[i] = _logit(edges + i) + _transformed(&sigma, node, edges, i)
        largest = max(largest, policy[i])
    for i in range(node.num_edges):
        policy[i] = <float>exp(policy[i] - largest)
        total += policy[i]
    for i in range(node.num_edges):
        policy[i] /= total


cdef Edge* _best_at_level(const Settings* settings, const Tree* tree, const Node* node, const Root* root,
                          uint32_t level) noexcept nogil:
    """argmax of g + logits + sigma(q) among the edges visited `level` times in this search; NULL if there is none."""
    cdef Sigma sigma = _sigma(settings, tree, node)
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = NULL
    cdef float best_score = 0, score
    cdef int i, action
    for i in range(node.num_edges):
        action = edge_action(edges + i)
        if edges[i].visits - root.old_visits[action] != level:
            continue
        score = root.gumbel[action] + _logit(edges + i) + _transformed(&sigma, node, edges, i)
        if best == NULL or score > best_score:
            best_score = score
            best = edges + i
    return best


cdef Edge* select_root_gumbel(const Settings* settings, const Tree* tree, const Node* node, Root* root) noexcept nogil:
    """The root's choice (ibid., algorithm 2): the action of the current sweep of sequential halving."""
    cdef Edge* edge = _best_at_level(settings, tree, node, root, next_level(&root.halving))
    return edge if edge != NULL else best_root_gumbel(settings, tree, node, root)


cdef Edge* best_root_gumbel(const Settings* settings, const Tree* tree, const Node* node, Root* root) noexcept nogil:
    """The action to play: the best of those visited most often in this search."""
    cdef Edge* edges = node_edges(tree, node)
    cdef uint32_t most = 0
    cdef int i
    for i in range(node.num_edges):
        most = max(most, edges[i].visits - root.old_visits[edge_action(edges + i)])
    return _best_at_level(settings, tree, node, root, most)


cdef Edge* select_gumbel(const Settings* settings, const Tree* tree, const Node* node, float* scratch) noexcept nogil:
    """The choice below the root: visits follow the improved policy (ibid., equation 14). scratch: [num_edges]."""
    cdef Edge* edges = node_edges(tree, node)
    cdef Edge* best = NULL
    cdef float best_score = 0, score, total = 1
    cdef int i
    improved_policy(settings, tree, node, scratch)
    for i in range(node.num_visited):
        total += edges[i].visits
    for i in range(node.num_edges):
        score = scratch[i] - (edges[i].visits if i < node.num_visited else 0) / total
        if best == NULL or score > best_score:
            best_score = score
            best = edges + i
    return best
