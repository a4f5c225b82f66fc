from mcts_ext.settings cimport Settings
from mcts_ext.slot cimport Leaf, Slot
from mcts_ext.tree cimport Tree


cdef void backup(const Settings* settings, Tree* tree, Leaf* leaf, float value) noexcept nogil
cdef void mark_in_flight(const Settings* settings, Tree* tree, Leaf* leaf) noexcept nogil
cdef void abandon(const Settings* settings, Slot* slot) noexcept nogil
cdef void retract(Slot* slot, Leaf* leaf) noexcept nogil
