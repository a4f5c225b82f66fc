from mcts_ext.settings cimport Settings
from mcts_ext.slot cimport Engine, Slot
from mcts_ext.tree cimport Edge, Node, Tree


cdef void prepare_root(Engine* engine, Slot* slot) noexcept nogil
cdef Edge* best_edge(Engine* engine, Slot* slot) noexcept nogil
cdef Edge* most_visited(const Tree* tree, const Node* node) noexcept nogil
cdef float lower_confidence_bound(const Settings* settings, const Tree* tree, const Edge* edge) noexcept nogil
cdef void policy_target(Engine* engine, Slot* slot, float* policy) noexcept nogil
