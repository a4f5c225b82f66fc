"""What several tests of the algorithm start from."""

import functools

import pytest
from ray_cluster import Cluster
from tiny_run import LONGER, train


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """A finished tiny run, of one worker; not to be changed."""
    return train(tmp_path_factory.mktemp("runs") / "unbroken")


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """The longer run, undisturbed and in one process, as that many workers make it: the learner's threads are as many,
    and their sums round accordingly."""

    @functools.cache
    def run(workers):
        return train(tmp_path_factory.mktemp("runs") / "expected", workers, **LONGER)

    return run


@pytest.fixture(scope="module")
def head_and_node():
    cluster = Cluster()
    try:
        cluster.start_head()
        cluster.start_node(cores=2)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(head_and_node):
    """A head and a node with two cores; the nodes that a test adds end with it."""
    yield head_and_node
    for node in head_and_node.nodes[2:]:
        if node.poll() is None:
            head_and_node.stop(node)
