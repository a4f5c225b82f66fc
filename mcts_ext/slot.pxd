"""What one game's search consists of, and what all of them share."""
from libc.stdint cimport int32_t, uint16_t, uint32_t, uint64_t

from mcts_ext.endgame cimport Prover
from mcts_ext.settings cimport Halving, Root, Settings
from mcts_ext.state cimport Rules
from mcts_ext.tree cimport Tree


cdef struct Engine:
    # What all slots share.
    const Rules* rules
    Settings settings
    int num_symmetries
    const int32_t* action_permutations   # [num_symmetries, A]
    const int32_t* point_permutations    # [num_symmetries, rows * cols]


cdef struct Leaf:
    # A path from the root to the node under evaluation.
    int length                           # edges on the path
    uint32_t* nodes                      # [length + 1]
    uint32_t* edges                      # [length], indices into the tree's edges
    void* state                          # the game's state there
    float value                          # if known, seen by the player to move there
    bint fresh                           # the last edge had never been visited
    bint transposed                      # the last node was reached by another path before: its value is enough
    bint in_flight                       # counted as under way in its nodes and edges
    int symmetry                         # in which it is evaluated
    uint64_t key                         # of what the evaluator sees, for the cache
    Halving before                       # sequential halving when the path began


cdef struct Slot:
    Tree tree
    Prover prover                        # with settings.proof_moves
    void* state                          # at the root
    uint64_t rng
    int ply                              # of the root, since the slot was reset
    Root root
    bint root_ready                      # noise and halving are drawn
    bint active, noise
    uint32_t simulations, target         # done; wanted
    Leaf* leaves                         # [settings.leaves]
    int waiting                          # leaves that await their evaluation, the first ones
    unsigned char* mask                  # scratch [A]
    float* scratch                       # scratch [A]
    float* priors                        # scratch [A]
    float* planes                        # scratch [rows * cols * planes], for a position before its symmetry


cdef bint init_slot(const Engine* engine, Slot* slot, size_t memory) noexcept nogil
cdef void free_slot(const Engine* engine, Slot* slot) noexcept nogil
