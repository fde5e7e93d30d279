"""The one precedence, as laws."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relayfleet.config.precedence import merge, unsugar

leaves = st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3)
keys = st.sampled_from(["a", "b", "c", "claude", "mcp_servers", "credentials"])
layers = st.recursive(
    st.dictionaries(keys, leaves | st.none(), max_size=4),
    lambda inner: st.dictionaries(keys, leaves | st.none() | inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(layers, layers, layers)
def test_layers_merge_in_any_grouping(low: dict[str, Any], middle: dict[str, Any], high: dict[str, Any]) -> None:
    assert merge(low, middle, high) == merge(merge(low, middle), high)


@settings(deadline=None)
@given(layers, layers)
def test_the_layers_stay_as_they_were(low: dict[str, Any], high: dict[str, Any]) -> None:
    before = copy.deepcopy((low, high))
    merge(low, high)
    assert (low, high) == before


@settings(deadline=None)
@given(layers, layers)
def test_the_higher_layer_wins_and_null_takes_away(low: dict[str, Any], high: dict[str, Any]) -> None:
    merged = merge(low, high)
    for key, value in high.items():
        if value is None:
            assert key not in merged
        elif not isinstance(value, dict):
            assert merged[key] == value
    assert all(merged[key] == merge({key: low[key]}).get(key) for key in low if key not in high and key in merged)


@settings(deadline=None)
@given(layers)
def test_one_layer_twice_is_that_layer(layer: dict[str, Any]) -> None:
    assert merge(layer, layer) == merge(layer)


def test_objects_are_merged_and_lists_replaced() -> None:
    low = {"claude": {"args": ["--a"], "model": "opus"}, "env": {"A": "1", "B": "2"}}
    high = {"claude": {"args": ["--b"]}, "env": {"B": None, "C": "3"}}
    assert merge(low, high) == {"claude": {"args": ["--b"], "model": "opus"}, "env": {"A": "1", "C": "3"}}


def test_a_credential_is_replaced_as_a_whole() -> None:
    low = {"credentials": {"gh": {"from_env": "A", "as_env": "B"}, "x": {"from_env": "X", "as_env": "X"}}}
    high = {"credentials": {"gh": {"from_file": "f", "as_file": "g"}}}
    assert merge(low, high)["credentials"] == {
        "gh": {"from_file": "f", "as_file": "g"},
        "x": {"from_env": "X", "as_env": "X"},
    }


def test_model_is_short_for_claude_model() -> None:
    assert unsugar({"model": "opus", "claude": {"args": []}}) == {"claude": {"model": "opus", "args": []}}
    assert merge({"claude": {"model": "opus"}}, unsugar({"model": None})) == {"claude": {}}
