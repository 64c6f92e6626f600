"""Fixtures of several files of tests of training."""

import pytest

from tests.training_inputs import Uninterrupted, train_uninterrupted


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    """Return a training from beginning to end, which others are compared with."""
    return train_uninterrupted(tmp_path_factory.mktemp("uninterrupted"))
