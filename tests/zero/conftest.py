"""What several tests of the algorithm start from."""

import pytest
from tiny_run import train


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """A finished tiny run, of one worker; not to be changed."""
    return train(tmp_path_factory.mktemp("runs") / "unbroken")
