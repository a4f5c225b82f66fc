"""One simulation of one tree, in its four steps: select, expand, evaluate, backup (each a function without the GIL)."""
from libc.stdint cimport uint32_t, uint64_t

from mcts_ext.settings cimport Root, Settings
from mcts_ext.state cimport Rules
from mcts_ext.tree cimport Tree


cdef enum Selected:
    NEEDS_EVALUATION
    VALUE_KNOWN                          # terminal, or the tree is full


cdef struct Engine:
    # What all slots of a search share.
    const Rules* rules
    Settings settings


cdef struct Leaf:
    # A path from the root to the node under evaluation.
    int length                           # edges on the path
    uint32_t* nodes                      # [length + 1]
    uint32_t* edges                      # [length], indices into the tree's edges
    void* state                          # the game's state there
    float value                          # if known, seen by the player to move there


cdef struct Slot:
    # One game's search.
    Tree tree
    void* state                          # at the root
    uint64_t rng
    Root root
    bint root_ready                      # noise and halving are drawn
    bint active, noise
    uint32_t simulations, target         # done; wanted
    Leaf leaf
    bint waiting                         # the leaf awaits its evaluation
    unsigned char* mask                  # scratch [A]
    float* scratch                       # scratch [A]


cdef bint begin(Engine* engine, Slot* slot) noexcept nogil
cdef Selected select_leaf(Engine* engine, Slot* slot, Leaf* leaf, bint grow_uniform) noexcept nogil
cdef void expand(Engine* engine, Slot* slot, Leaf* leaf, const unsigned char* legal, int count,
                 const float* logits) noexcept nogil
cdef void backup(Slot* slot, Leaf* leaf, float value) noexcept nogil
cdef void finish(Slot* slot, Leaf* leaf, float value) noexcept nogil
cdef void prepare_root(Engine* engine, Slot* slot) noexcept nogil
cdef float rollout(Engine* engine, Slot* slot, Leaf* leaf) noexcept nogil
