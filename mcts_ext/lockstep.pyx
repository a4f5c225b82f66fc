"""Steps of many searches in batches: gathering leaves, taking in their evaluations. No GIL, a thread takes a slot."""
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy, memmove, memset

from mcts_ext.backup cimport abandon, mark_in_flight
from mcts_ext.cache cimport look_up, store, view_key
from mcts_ext.rng cimport random_below
from mcts_ext.settings cimport AVERAGED_SYMMETRY, NO_SYMMETRY
from mcts_ext.simulation cimport (
    BLOCKED, NEEDS_EVALUATION, Selected, expand, expand_root, finish, select_leaf, softmax_legal)
from mcts_ext.slot cimport Leaf
from mcts_ext.tree cimport EVALUATED, Node, is_solved


cdef enum:
    MAX_INSIDE = 4096                    # simulations of a slot without an evaluation in one step


cdef void update_active(Slot* slot) noexcept nogil:
    """A search ends with its last simulation, or when its root is solved."""
    cdef const Node* root = slot.tree.nodes + slot.tree.root
    slot.active = not is_solved(root) and (slot.simulations < slot.target or not root.flags & EVALUATED)


# ---- collect

cdef void collect_slot(void* context, int index) noexcept nogil:
    """Simulates in one slot until its leaves need evaluations; these go into the groups kept for the slot.

    Where a tree reaches only ends of the game or cached positions no leaf ever does, hence the bound.
    """
    cdef Batch* batch = <Batch*>context
    cdef Engine* engine = batch.engine
    cdef Slot* slot = batch.slots + batch.active[index]
    cdef Leaf* leaf
    cdef Selected selected
    cdef float value
    cdef int inside = 0
    while slot.active and slot.waiting < engine.settings.leaves and inside < MAX_INSIDE and not batch.cancelled[0]:
        if slot.waiting and slot.simulations + slot.waiting >= slot.target:
            break
        leaf = slot.leaves + slot.waiting
        selected = select_leaf(engine, slot, leaf, False)
        if selected == BLOCKED:
            break
        if selected == NEEDS_EVALUATION:
            _encode(batch, slot, leaf, index * engine.settings.leaves + slot.waiting)
            if batch.cache == NULL or not look_up(batch.cache, leaf.key, slot.priors, &value):
                if engine.settings.leaves > 1:
                    mark_in_flight(&engine.settings, &slot.tree, leaf)
                slot.waiting += 1
                continue
            expand(engine, slot, leaf, slot.mask, slot.priors)
            leaf.value = _mixed(engine, slot, leaf, value)
        finish(engine, slot, leaf, leaf.value)
        update_active(slot)
        inside += 1
    if not slot.active:                  # the root was proven while leaves waited, and nobody is to wait for them
        abandon(&engine.settings, slot)
    batch.going[index] = slot.active
    batch.waiting[index] = slot.waiting


cdef void _encode(Batch* batch, Slot* slot, Leaf* leaf, int group) noexcept nogil:
    """Writes the rows of a leaf: its planes and legal actions, in its symmetries. slot.mask gets the actions too."""
    cdef Engine* engine = batch.engine
    cdef int actions = engine.rules.num_actions
    cdef float* planes = batch.planes + group * batch.rows * batch.row_floats
    cdef uint8_t* legal = batch.legal + group * batch.rows * actions
    cdef bint plain = engine.settings.symmetry == NO_SYMMETRY
    cdef float* untransformed = planes if plain else slot.planes
    cdef int row
    leaf.symmetry = 0
    engine.rules.encode(engine.rules, leaf.state, untransformed)
    engine.rules.legal(engine.rules, leaf.state, slot.mask)
    if batch.cache != NULL:
        leaf.key = view_key(untransformed, batch.row_floats, slot.mask, actions)
    if plain:
        memcpy(legal, slot.mask, actions)
        return
    if engine.settings.symmetry != AVERAGED_SYMMETRY:
        leaf.symmetry = random_below(&slot.rng, engine.num_symmetries)
    for row in range(batch.rows):
        _transform(engine, slot, leaf.symmetry + row, planes + row * batch.row_floats, legal + row * actions)


cdef void _transform(Engine* engine, const Slot* slot, int symmetry, float* planes, uint8_t* legal) noexcept nogil:
    cdef int points = engine.rules.rows * engine.rules.cols, actions = engine.rules.num_actions
    cdef int depth = engine.rules.planes, i
    cdef const int32_t* to_point = engine.point_permutations + symmetry * points
    cdef const int32_t* to_action = engine.action_permutations + symmetry * actions
    for i in range(points):
        memcpy(planes + to_point[i] * depth, slot.planes + i * depth, depth * sizeof(float))
    for i in range(actions):
        legal[to_action[i]] = slot.mask[i]


cdef int keep_going(Batch* batch, int count) noexcept nogil:
    """Leaves those of `count` slots in the batch whose searches go on; how many they are."""
    cdef int index, kept = 0
    for index in range(count):
        batch.active[kept] = batch.active[index]
        kept += batch.going[index]
    return kept


cdef int close_holes(Batch* batch, int count) noexcept nogil:
    """Moves the groups of all `count` slots together; how many there are."""
    cdef int leaves = batch.engine.settings.leaves, actions = batch.engine.rules.num_actions
    cdef int index, kept = 0
    cdef size_t row, to_row, rows
    for index in range(count):
        batch.first_group[index] = kept
        row = <size_t>index * leaves * batch.rows
        to_row = <size_t>kept * batch.rows
        rows = <size_t>batch.waiting[index] * batch.rows
        if rows and to_row < row:
            memmove(batch.planes + to_row * batch.row_floats, batch.planes + row * batch.row_floats,
                    rows * batch.row_floats * sizeof(float))
            memmove(batch.legal + to_row * actions, batch.legal + row * actions, rows * actions)
        kept += batch.waiting[index]
    return kept


# ---- apply

cdef void apply_slot(void* context, int index) noexcept nogil:
    """Takes in the evaluations of one slot's leaves, in the order in which they were chosen."""
    cdef Batch* batch = <Batch*>context
    cdef Engine* engine = batch.engine
    cdef Slot* slot = batch.slots + batch.active[index]
    cdef Leaf* leaf
    cdef float value
    cdef int k
    if not slot.active:                  # stopped meanwhile
        return
    for k in range(slot.waiting):
        leaf = slot.leaves + k
        value = _read_answer(batch, slot, leaf, batch.first_group[index] + k)
        if batch.cache != NULL:
            store(batch.cache, leaf.key, slot.priors, value)
        expand(engine, slot, leaf, slot.mask, slot.priors)
        finish(engine, slot, leaf, _mixed(engine, slot, leaf, value))
    slot.waiting = 0
    update_active(slot)
    batch.going[index] = slot.active


cdef float _read_answer(const Batch* batch, Slot* slot, const Leaf* leaf, int group) noexcept nogil:
    """The value of a leaf; slot.priors and slot.mask get its priors and legal actions, all of them back from the
    symmetries in which they were asked for."""
    cdef int actions = batch.engine.rules.num_actions, row, first = group * batch.rows, action
    cdef const int32_t* to_action
    cdef const uint8_t* legal
    cdef float value = 0
    memset(slot.priors, 0, actions * sizeof(float))
    for row in range(batch.rows):
        legal = batch.legal + (first + row) * actions
        softmax_legal(batch.logits + (first + row) * actions, legal, actions, slot.scratch)
        to_action = batch.engine.action_permutations + (leaf.symmetry + row) * actions
        for action in range(actions):
            slot.mask[action] = legal[to_action[action]]
            slot.priors[action] += slot.scratch[to_action[action]] / batch.rows
        value += batch.values[first + row] / batch.rows
    return value


cdef inline float _mixed(Engine* engine, Slot* slot, Leaf* leaf, float value) noexcept nogil:
    """(1 - lambda) * value + lambda * the result of random moves. Uses up the leaf's state."""
    cdef float weight = engine.settings.rollout_weight
    if weight == 0:
        return value
    return (1 - weight) * value + weight * engine.rules.playout(engine.rules, leaf.state, &slot.rng)


cdef int bad_row(const Batch* batch, int count) noexcept nogil:
    """The first row whose value or a legal action's logit is no number, -1 if there is none. Rows of slots that were
    stopped meanwhile count too: an evaluator that is broken should say so."""
    cdef size_t k, actions = batch.engine.rules.num_actions, entries = count * actions
    cdef const uint8_t* legal = batch.legal
    cdef const float* logits = batch.logits
    cdef const float* values = batch.values
    cdef unsigned int bad = 0
    cdef int row
    for k in range(entries):             # all threads wait for this: without branches, so that vectors do it
        bad |= legal[k] & (logits[k] - logits[k] != 0)
    for row in range(count):
        bad |= not -1.001 <= values[row] <= 1.001
    if not bad:
        return -1
    for row in range(count):
        if not -1.001 <= values[row] <= 1.001:
            return row
        for k in range(row * actions, (row + 1) * actions):
            if legal[k] and logits[k] - logits[k] != 0:
                return row


# ---- evaluators that need no Python

cdef void run_slot(void* context, int index) noexcept nogil:
    """A search without a network, or `most` simulations of it."""
    cdef Batch* batch = <Batch*>context
    cdef Engine* engine = batch.engine
    cdef Slot* slot = batch.slots + batch.active[index]
    cdef Leaf* leaf = slot.leaves
    cdef uint32_t done = slot.simulations
    while slot.active and slot.simulations - done < batch.most and not batch.cancelled[0]:
        if select_leaf(engine, slot, leaf, True) == NEEDS_EVALUATION:
            leaf.value = 0
            if batch.evaluator == ROLLOUT:
                leaf.value = engine.rules.playout(engine.rules, leaf.state, &slot.rng)
        finish(engine, slot, leaf, leaf.value)
        if slot.simulations == 0:
            expand_root(engine, slot)
        update_active(slot)
    batch.going[index] = slot.active
