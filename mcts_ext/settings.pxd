"""SearchOptions as the compiled parts read them, and what the root of one search needs beside its tree."""
from libc.stdint cimport uint32_t


cdef enum Symmetry:
    NO_SYMMETRY
    RANDOM_SYMMETRY
    AVERAGED_SYMMETRY


cdef struct Settings:
    bint root_gumbel, interior_gumbel
    float c_puct, c_puct_factor, c_puct_base
    float c_puct_stdev, stdev_prior, stdev_prior_visits
    bint fpu_absolute
    float fpu_value, root_fpu_value
    float noise_fraction, noise_alpha
    bint noise_shaped
    float forced_playouts
    int gumbel_actions
    float gumbel_scale, c_visit, c_scale
    bint rescale_q
    bint solver, transpositions
    long long proof_moves
    int leaves
    float virtual_loss
    bint lcb
    float lcb_stdevs, lcb_visits
    Symmetry symmetry
    float rollout_weight


cdef struct Halving:
    # Sequential halving as a walk over visit counts: the next simulation goes to an action visited `level` times.
    int considered                       # actions still in the race
    int rounds                           # of halving, in all
    int sweeps                           # left before the next halving
    int place                            # in the current sweep
    uint32_t level
    uint32_t budget                      # simulations in all


cdef struct Root:
    # Arrays over actions [A] for the root of one search.
    float* prior                         # with noise
    float* gumbel                        # noise of Gumbel-top-k
    uint32_t* old_visits                 # before this search (tree reuse)
    Halving halving


cdef Settings read_settings(object options)
