"""The guard of a run's folder, and the list of differences that its messages have."""

from pathlib import Path

import pytest

from a2inet_jax import run
from a2inet_jax.errors import RunError, differences


def test_differences_are_of_all_values_at_any_depth() -> None:
    ours = {"a": {"b": 1, "c": [1, 2]}, "new": "x", "same": None}
    theirs = {"a": {"b": 2, "c": [1]}, "old": 0.5, "same": None}
    assert differences(ours, theirs) == [
        "a.b: 2 there, 1 now",
        "a.c: [1] there, [1, 2] now",
        "new: None there, x now",
        "old: 0.5 there, None now",
    ]
    assert differences(ours, ours) == []


def test_hashes_and_long_lists_are_shown_in_short() -> None:
    ours = {"hash": "ab" * 32, "videos": [f"video_{n}" for n in range(12)]}
    theirs = {"hash": "cd" * 32, "videos": [f"video_{n}" for n in range(13)]}
    assert differences(ours, theirs) == [
        "hash: cdcdcdcdcdcd… there, abababababab… now",
        "videos: 13 entries there, 12 entries now",
    ]


def test_identity_is_compared_as_a_file_has_it(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    ours = {"sizes": (1, 2), "name": "\udcff"}  # of a file whose name is not UTF-8
    run.write_json(path, ours)
    run.check_identity(tmp_path, ours, run.read_json(path))
    with pytest.raises(RunError, match=r"sizes: \[1, 2\] there, \[1, 3\] now") as error:
        run.check_identity(tmp_path, ours | {"sizes": (1, 3)}, run.read_json(path))
    assert f"{tmp_path} holds another experiment's run; remove the folder" in str(error.value)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_unreadable_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "identity.json"
    path.write_text(content)
    with pytest.raises(RunError, match=r"identity\.json is not .*restore the file, or remove"):
        run.read_json(path)
