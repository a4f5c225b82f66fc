"""Pipelines: contents, seeds, and an iterator state that continues exactly."""

import itertools
import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nn.data import from_source

STAGES = {
    "map": lambda p: p.map(lambda x: x * 3 + 1),
    "filter": lambda p: p.filter(lambda x: x % 3 != 0),
    "shuffle": lambda p: p.shuffle(5, seed=7),
    "take": lambda p: p.take(9),
    "repeat": lambda p: p.repeat(3),
    "prefetch": lambda p: p.prefetch(2),
}


def test_a_pipeline_of_everything():
    pipeline = from_source(range(10)).map(lambda x: x * x).filter(lambda x: x % 2 == 0).take(4).repeat(2).batch(3)
    assert [b.tolist() for b in pipeline] == [[0, 4, 16], [36, 0, 4], [16, 36]]
    assert [b.tolist() for b in from_source(range(5)).batch(2, drop_last=True)] == [[0, 1], [2, 3]]


def test_batches_of_tuples_and_dicts():
    x = np.arange(12.0).reshape(4, 3)
    (a, b), _ = from_source([(x[i], i) for i in range(4)]).batch(2)
    assert a.shape == (2, 3) and b.tolist() == [0, 1]
    (d,) = from_source([{"x": x[i], "y": i} for i in range(4)]).batch(4)
    np.testing.assert_array_equal(d["x"], x)


def test_shuffle_is_a_seeded_permutation_and_differs_between_passes():
    pipeline = from_source(range(100)).shuffle(30, seed=1)
    first = list(pipeline)
    assert sorted(first) == list(range(100)) and first != list(range(100)) and first == list(pipeline)
    assert first != list(from_source(range(100)).shuffle(30, seed=2))
    passes = list(pipeline.repeat(2))
    assert sorted(passes[:100]) == sorted(passes[100:]) and passes[:100] != passes[100:]


def test_a_full_window_shuffles_evenly():
    places = np.zeros((6, 6))
    for seed in range(600):
        for place, element in enumerate(from_source(range(6)).shuffle(6, seed=seed)):
            places[place, element] += 1
    assert ((places - 100) ** 2 / 100).sum() < 60  # chi-squared, 25 degrees of freedom: p < 1e-4


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(sorted(STAGES)), max_size=4), st.integers(0, 40), st.booleans())
def test_any_pipeline_resumes_where_it_stopped(stages, count, as_iterable):
    source = dict.fromkeys(range(13)) if as_iterable else range(13)  # a dict has no elements by number to resume at
    pipeline = from_source(source.keys() if as_iterable else source)
    for stage in stages:
        pipeline = STAGES[stage](pipeline)
    whole = list(pipeline)
    iterator = iter(pipeline)
    before = list(itertools.islice(iterator, count))
    state = json.loads(json.dumps(iterator.state()))
    assert before + list(pipeline.resume(state)) == whole


def test_batches_resume_too():
    pipeline = from_source(range(20)).shuffle(8, seed=3).repeat().batch(7).prefetch(3)
    iterator = iter(pipeline)
    for _ in range(5):
        next(iterator)
    again = pipeline.resume(iterator.state())
    for _ in range(5):
        np.testing.assert_array_equal(next(iterator), next(again))


def test_nothing_is_computed_before_it_is_asked_for():
    calls = []
    pipeline = from_source(range(10)).map(calls.append)
    iterator = iter(pipeline)
    assert calls == []
    next(iterator)
    assert calls == [0]


def test_prefetch_works_ahead_and_ends_its_thread():
    calls, before = [], set(threading.enumerate())
    iterator = iter(from_source(range(10)).map(lambda x: calls.append(x) or x).prefetch(2))
    assert next(iterator) == 0
    (thread,) = set(threading.enumerate()) - before
    deadline = time.monotonic() + 60
    while len(calls) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert len(calls) == 4  # one taken, two in the queue, one waiting to enter
    del iterator
    thread.join(60)
    assert not thread.is_alive()


def test_an_error_in_prefetch_arrives_at_its_element():
    def fail(x):
        if x == 2:
            raise ValueError("element 2 is bad")
        return x

    iterator = iter(from_source(range(5)).map(fail).prefetch(3))
    assert [next(iterator), next(iterator)] == [0, 1]
    with pytest.raises(ValueError, match="element 2"):
        next(iterator)
    assert list(iterator) == []


def test_sources_that_cannot_start_again_are_refused():
    with pytest.raises(TypeError, match="only once"):
        from_source(x for x in range(3))


def test_sizes_are_checked():
    for stage in (lambda p: p.batch(0), lambda p: p.prefetch(0), lambda p: p.shuffle(-1, seed=0)):
        with pytest.raises(ValueError, match="must be 1 or more"):
            stage(from_source([1]))
