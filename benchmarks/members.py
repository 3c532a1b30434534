"""The networks that are measured."""

from __future__ import annotations

from typing import Any

from wmhseg.engines import interface
from wmhseg.networks import rewriting
from wmhseg.weights import store


def first_member() -> tuple[Any, Any]:
    """Network and weights of the default model's first member, as OpenVINO takes them."""
    model = store.find(store.DEFAULT_MODEL)
    member = model.preset.members[0]
    return rewriting.merge_doublings(interface.describe(model, member), store.load(model, member))
