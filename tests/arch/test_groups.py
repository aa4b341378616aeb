"""That slow engines run in one worker: what a group shares is then made once."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("engine")
def test_a_test_of_a_group_is_known_as_such(request):
    assert request.node.get_closest_marker("xdist_group").args == ("engine",)
    if hasattr(request.config, "workerinput"):  # in a worker the group is part of the name
        assert request.node.nodeid.endswith("@engine")
