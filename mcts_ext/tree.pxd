"""The search tree in flat arrays: nodes of 56 bytes, edges of 16, addressed by index.

A node's edges lie side by side. Those that were visited come first, and an edge is moved there on its first visit:
a selection reads `num_visited` edges and one more, however many legal moves there are.

All values of a node are seen by its player to move; an edge's `q` by the player who chooses it.
"""
from libc.stdint cimport int8_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef enum:
    NO_NODE = 0xFFFFFFFF
    ACTION_BITS = 0x3FFF                 # an edge's move: 14 bits of action, then 2 bits of what is proven
    PROVEN_WIN = 0x4000
    PROVEN_DRAW = 0x8000
    PROVEN_LOSS = 0xC000
    PROVEN_BITS = 0xC000


cdef enum NodeFlags:
    EVALUATED = 1                        # value is known
    TERMINAL = 2
    EXPANDED = 4                         # has its edges


cdef struct Edge:
    float q                              # mean value of the child, seen by the player who chooses
    uint32_t visits                      # evaluations under way among them
    uint32_t child                       # NO_NODE before the first visit
    uint16_t move                        # action | proven bits
    uint16_t prior                       # packed, see pack_prior


cdef struct Node:
    double value_sum                     # of `visits` values
    double square_sum                    # of their squares
    uint64_t key                         # of the position (transpositions)
    uint32_t visits                      # 1 for its own evaluation, and those of its edges
    uint32_t in_flight                   # evaluations under way at and below it
    uint32_t first_edge
    uint16_t num_edges
    uint16_t num_visited
    float value                          # its own evaluation
    uint8_t flags
    uint8_t mover                        # 0 or 1
    int8_t lower                         # proven bounds of the value; equal: solved
    int8_t upper


cdef struct Tree:
    Node* nodes
    Edge* edges
    uint32_t num_nodes, num_edges
    uint32_t max_nodes, max_edges        # room
    uint32_t root
    size_t limit                         # bytes; growth stops there
    bint full                            # growth has stopped
    uint32_t* table                      # open addressing by key, NO_NODE empty; NULL without transpositions
    uint32_t table_mask


cdef inline uint16_t pack_prior(float prior) noexcept nogil:
    """A probability in 16 bits: 5 of exponent (2^-31 .. 1) and 11 of mantissa, relative error 2^-12."""
    cdef uint32_t bits
    memcpy(&bits, &prior, sizeof(float))       # reading a float through an int pointer is undefined in C
    bits += 0x800
    return 0 if bits < (<uint32_t>96 << 23) else <uint16_t>((bits >> 12) - (96 << 11))


cdef inline float unpack_prior(uint16_t packed) noexcept nogil:
    cdef uint32_t bits = (<uint32_t>packed + (96 << 11)) << 12
    cdef float prior
    memcpy(&prior, &bits, sizeof(float))
    return prior


cdef inline int edge_action(const Edge* edge) noexcept nogil:
    return edge.move & ACTION_BITS


cdef inline float seen_from(int mover, const Node* node, float value) noexcept nogil:
    """A value of `node` as the player `mover` sees it: the one place where the view changes."""
    return value if node.mover == mover else -value


cdef inline float node_mean(const Node* node) noexcept nogil:
    return <float>(node.value_sum / node.visits) if node.visits else 0.0


cdef inline bint is_solved(const Node* node) noexcept nogil:
    return node.lower == node.upper


cdef inline Edge* node_edges(const Tree* tree, const Node* node) noexcept nogil:
    return tree.edges + node.first_edge


cdef bint init_tree(Tree* tree, size_t limit, bint transpositions) noexcept nogil
cdef void free_tree(Tree* tree) noexcept nogil
cdef void clear_tree(Tree* tree) noexcept nogil
cdef bint reserve_node(Tree* tree) noexcept nogil
cdef uint32_t add_node(Tree* tree, uint64_t key, int mover) noexcept nogil
cdef uint32_t find_node(const Tree* tree, uint64_t key) noexcept nogil
cdef bint add_edges(Tree* tree, uint32_t node, int count) noexcept nogil
cdef Edge* first_visit(Tree* tree, Node* node, Edge* edge) noexcept nogil
cdef Edge* find_edge(const Tree* tree, const Node* node, int action) noexcept nogil
cdef Edge* likeliest_unvisited(const Tree* tree, const Node* node) noexcept nogil
cdef bint keep_subtree(Tree* tree, Tree* spare, uint32_t root) noexcept nogil
cdef size_t tree_bytes(const Tree* tree) noexcept nogil
