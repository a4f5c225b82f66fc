from libc.stdint cimport uint32_t, uint64_t

from mcts_ext.settings cimport Halving, Root, Settings
from mcts_ext.tree cimport Edge, Node, Tree


cdef void start_halving(Halving* halving, int actions, uint32_t budget) noexcept nogil
cdef uint32_t next_level(Halving* halving) noexcept nogil
cdef void improved_policy(const Settings* settings, const Tree* tree, const Node* node, float* policy) noexcept nogil
cdef Edge* select_root_gumbel(const Settings* settings, const Tree* tree, const Node* node, Root* root) noexcept nogil
cdef Edge* best_root_gumbel(const Settings* settings, const Tree* tree, const Node* node, Root* root) noexcept nogil
cdef Edge* select_gumbel(const Settings* settings, const Tree* tree, const Node* node, float* scratch) noexcept nogil
cdef float mixed_value(const Tree* tree, const Node* node) noexcept nogil
