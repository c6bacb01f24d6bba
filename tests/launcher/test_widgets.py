"""Values are read by name where a file says so, and never land one place off in silence."""

from __future__ import annotations

import pytest

from instructdiffusion.launcher.graph_conversion import GraphError, to_api
from instructdiffusion.launcher.saved_graph import Node
from instructdiffusion.launcher.specs import input_specs
from instructdiffusion.launcher.widgets import widget_values

# The five values of a task whose pack adds a widget, to pick a subject from, of which the server does not know.
INFO = {
    "Ask": {
        "input": {
            "required": {
                "task": [["segment", "keypoints"]],
                "subject": ["STRING", {"default": ""}],
                "color": [["automatic", "blue"]],
                "words": ["STRING", {"default": ""}],
            }
        }
    }
}
VALUES = ["segment", "pick", "all rings", "automatic", ""]
NAMED = {"task": "segment", "pick a subject": "pick", "subject": "all rings", "color": "automatic", "words": ""}


def asked(**more):
    return to_api({"nodes": [{"id": 3, "type": "Ask", **more}]}, INFO)["3"]["inputs"]


def test_values_by_name_win_over_their_order():
    expected = {"task": "segment", "subject": "all rings", "color": "automatic", "words": ""}
    assert asked(widgets_values=VALUES, widgets_values_named=NAMED) == expected


def test_a_widget_newer_than_the_file_takes_its_default():
    assert asked(widgets_values=["segment"], widgets_values_named={"task": "keypoints"}) == {
        "task": "keypoints", "subject": "", "color": "automatic", "words": "",
    }  # fmt: skip


def test_without_names_a_shifted_list_is_refused():
    with pytest.raises(GraphError, match=r"Ask \(node 3\): its 5 values do not fit its 4 widgets: color would become"):
        asked(widgets_values=VALUES)


def test_a_list_with_more_that_fits_is_taken():
    more = ["segment", "all rings", "automatic", "", "image", None]
    assert asked(widgets_values=more) == {"task": "segment", "subject": "all rings", "color": "automatic", "words": ""}


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (["INT", {}], ["a", 5]),
        (["INT", {}], [True, 5]),
        (["FLOAT", {}], ["a", 0.5]),
        (["BOOLEAN", {}], [1, True]),
        (["COMBO", {"options": ["x", "y"]}], [["x"], "y"]),
    ],
)
def test_every_kind_of_widget_shows_a_shift(spec, values):
    with pytest.raises(GraphError, match="one would become"):
        widget_values(Node("1", "Ask", values=values), input_specs({"input": {"required": {"one": spec}}}), "Ask")


def test_names_of_what_a_choice_brings():
    size = {"key": "sized", "inputs": {"required": {"side": ["INT", {"default": 4}]}}}
    spec = ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "plain", "inputs": {}}, size]}]
    specs = input_specs({"input": {"required": {"mode": spec}}})
    named = {"mode": "sized", "mode.side": 9}
    assert widget_values(Node("1", "Ask", named=named), specs, "Ask") == named
