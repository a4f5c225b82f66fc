"""Memory of the search tree: growth within a limit, the table of positions, and moving the root."""
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset


cdef bint init_tree(Tree* tree, size_t limit, bint transpositions) noexcept nogil:
    """An empty tree. limit: bytes, 0 for none. False if there is no memory."""
    memset(tree, 0, sizeof(Tree))
    tree.root = NO_NODE
    tree.limit = limit if limit else <size_t>-1
    if transpositions:
        return _grow_table(tree, 1024)
    return True


cdef void free_tree(Tree* tree) noexcept nogil:
    free(tree.nodes)
    free(tree.edges)
    free(tree.table)
    memset(tree, 0, sizeof(Tree))


cdef void clear_tree(Tree* tree) noexcept nogil:
    """Forgets all nodes, keeps the memory."""
    tree.num_nodes = tree.num_edges = 0
    tree.root = NO_NODE
    tree.full = False
    if tree.table != NULL:
        memset(tree.table, 0xFF, (<size_t>tree.table_mask + 1) * sizeof(uint32_t))


cdef size_t tree_bytes(const Tree* tree) noexcept nogil:
    """Bytes in use (not the room kept for growth)."""
    cdef size_t size = tree.num_nodes * sizeof(Node) + tree.num_edges * sizeof(Edge)
    if tree.table != NULL:
        size += (<size_t>tree.table_mask + 1) * sizeof(uint32_t)
    return size


cdef void* _grow(void* block, uint32_t* room, uint64_t wanted, size_t item) noexcept nogil:
    """`block` with room for `wanted` items, at least half as much again; NULL (and block as it was) without memory."""
    cdef uint64_t size = wanted + wanted // 2 + 64
    if size >= NO_NODE:
        return NULL
    cdef void* larger = realloc(block, size * item)
    if larger != NULL:
        room[0] = <uint32_t>size
    return larger


cdef bint reserve_node(Tree* tree) noexcept nogil:
    """Room for one node more; False if the limit is reached or memory is out. Nodes may move."""
    cdef void* larger
    if tree_bytes(tree) + sizeof(Node) > tree.limit:
        tree.full = True
        return False
    if tree.num_nodes == tree.max_nodes:
        larger = _grow(tree.nodes, &tree.max_nodes, <uint64_t>tree.num_nodes + 1, sizeof(Node))
        if larger == NULL:
            tree.full = True
            return False
        tree.nodes = <Node*>larger
    if tree.table != NULL and 2 * <uint64_t>tree.num_nodes > tree.table_mask:
        if not _grow_table(tree, 2 * (tree.table_mask + 1)):
            tree.full = True
            return False
    return True


cdef uint32_t add_node(Tree* tree, uint64_t key, int mover) noexcept nogil:
    """The index of a new node, for which there must be room."""
    cdef Node* node = tree.nodes + tree.num_nodes
    memset(node, 0, sizeof(Node))
    node.key = key
    node.mover = mover
    node.lower = -1
    node.upper = 1
    tree.num_nodes += 1
    if tree.table != NULL:
        _enter(tree, tree.num_nodes - 1)
    return tree.num_nodes - 1


cdef bint add_edges(Tree* tree, uint32_t node, int count) noexcept nogil:
    """Room for `count` edges of `node`; False if the limit is reached or memory is out."""
    cdef void* larger
    if tree_bytes(tree) + count * sizeof(Edge) > tree.limit:
        tree.full = True
        return False
    if <uint64_t>tree.num_edges + count > tree.max_edges:
        larger = _grow(tree.edges, &tree.max_edges, <uint64_t>tree.num_edges + count, sizeof(Edge))
        if larger == NULL:
            tree.full = True
            return False
        tree.edges = <Edge*>larger
    tree.nodes[node].first_edge = tree.num_edges
    tree.nodes[node].num_edges = count
    tree.num_edges += count
    return True


cdef Edge* likeliest_unvisited(const Tree* tree, const Node* node) noexcept nogil:
    """The edge of the largest prior among those not visited; NULL if all were."""
    cdef Edge* edge = node_edges(tree, node) + node.num_visited
    cdef Edge* end = node_edges(tree, node) + node.num_edges
    cdef Edge* best = edge
    if edge == end:
        return NULL
    while edge < end:
        if edge.prior > best.prior:
            best = edge
        edge += 1
    return best


cdef Edge* first_visit(Tree* tree, Node* node, Edge* edge) noexcept nogil:
    """Moves an unvisited edge behind the visited ones; where it is now."""
    cdef Edge* place = node_edges(tree, node) + node.num_visited
    cdef Edge moved = edge[0]
    edge[0] = place[0]
    place[0] = moved
    node.num_visited += 1
    return place


cdef Edge* find_edge(const Tree* tree, const Node* node, int action) noexcept nogil:
    """The node's edge of that action, NULL if there is none."""
    cdef Edge* edge = node_edges(tree, node)
    cdef Edge* end = edge + node.num_edges
    while edge < end:
        if edge_action(edge) == action:
            return edge
        edge += 1
    return NULL


# ---- the table of positions

cdef bint _grow_table(Tree* tree, uint32_t size) noexcept nogil:
    """size: a power of two. Enters all nodes anew."""
    cdef uint32_t node
    if tree_bytes(tree) + size * sizeof(uint32_t) > tree.limit:
        return False
    cdef void* larger = realloc(tree.table, size * sizeof(uint32_t))
    if larger == NULL:
        return False
    tree.table = <uint32_t*>larger
    tree.table_mask = size - 1
    memset(tree.table, 0xFF, size * sizeof(uint32_t))
    for node in range(tree.num_nodes):
        _enter(tree, node)
    return True


cdef void _enter(Tree* tree, uint32_t node) noexcept nogil:
    cdef uint32_t place = <uint32_t>tree.nodes[node].key & tree.table_mask
    while tree.table[place] != NO_NODE:
        place = (place + 1) & tree.table_mask
    tree.table[place] = node


cdef uint32_t find_node(const Tree* tree, uint64_t key) noexcept nogil:
    """The node of that position, or NO_NODE."""
    cdef uint32_t place
    if tree.table == NULL:
        return NO_NODE
    place = <uint32_t>key & tree.table_mask
    while tree.table[place] != NO_NODE:
        if tree.nodes[tree.table[place]].key == key:
            return tree.table[place]
        place = (place + 1) & tree.table_mask
    return NO_NODE


# ---- moving the root

cdef uint32_t _copy_node(Tree* source, Tree* target, uint32_t index) noexcept nogil:
    """Copies a node and its edges, which still point into the source; the copy's index, also left in the original.

    A copied node is marked by in_flight = 1 (no evaluation is under way when a root moves), and points to its copy by
    first_edge, which its copy knows already.
    """
    cdef Node* node = source.nodes + index
    cdef uint32_t copy
    if node.in_flight:
        return node.first_edge
    if not reserve_node(target):
        return NO_NODE
    copy = add_node(target, node.key, node.mover)
    target.nodes[copy] = node[0]
    if node.num_edges:
        if not add_edges(target, copy, node.num_edges):
            return NO_NODE
        memcpy(node_edges(target, target.nodes + copy), node_edges(source, node), node.num_edges * sizeof(Edge))
    node.in_flight = 1
    node.first_edge = copy
    return copy


cdef bint keep_subtree(Tree* tree, Tree* spare, uint32_t root) noexcept nogil:
    """Makes `root` the root and drops what it does not reach. The two trees change places, so that memory is kept.

    Cheney's copying collector (CACM 1970): breadth first, a shared child is copied once. False if memory is out: the
    tree is empty then.
    """
    cdef uint32_t scan = 0, child
    cdef Edge* edge
    cdef int i
    cdef bint complete = True
    cdef Tree kept
    clear_tree(spare)
    if _copy_node(tree, spare, root) == NO_NODE:
        complete = False
    while complete and scan < spare.num_nodes:
        for i in range(spare.nodes[scan].num_visited):
            edge = node_edges(spare, spare.nodes + scan) + i
            child = _copy_node(tree, spare, edge.child)
            if child == NO_NODE:
                complete = False
                break
            # The pool of edges may have moved.
            (node_edges(spare, spare.nodes + scan) + i).child = child
        scan += 1
    spare.root = 0
    clear_tree(tree)
    if not complete:
        clear_tree(spare)
    kept = spare[0]
    spare[0] = tree[0]
    tree[0] = kept
    return complete
