"""Subgraphs are unfolded as the page of ComfyUI unfolds them; tests/browser holds that page to the same cases."""

from __future__ import annotations

import json

import pytest

from instructdiffusion.launcher.graph_conversion import GraphError, to_api

from .canvas_graphs import CASES, OBJECT_INFO, SOURCE, graph, identity, instance, node, subgraph


def queued(saved):
    """What a server is asked, without titles."""
    prompt = to_api(json.loads(json.dumps(saved)), OBJECT_INFO)
    return {name: (entry["class_type"], entry["inputs"]) for name, entry in prompt.items()}


@pytest.mark.parametrize("name", CASES)
def test_a_graph_becomes_what_the_page_queues(name):
    saved, expected = CASES[name]
    assert queued(saved) == expected


def source_with(**more):
    """The inputs of the picture inside an instance of SOURCE."""
    saved = graph([instance(1, "Source", **more)], [], SOURCE)
    return queued(saved)["1:13"][1]


WIDTH = {"links": {"width": None}}


@pytest.mark.parametrize(
    ("more", "width", "height"),
    [
        ({"values": [32]}, 32, 24),  # the input of an instance is known to be a widget from the node inside
        ({"values": [32], **WIDTH}, 32, 24),
        ({"values": [], **WIDTH}, 16, 24),
        ({"values": [None], **WIDTH}, 16, 24),
        ({"values": [32], "widgets_values_named": {"width": 33}, **WIDTH}, 33, 24),
        ({"values": [5, 34], "properties": {"proxyWidgets": [["13", "height"], ["-1", "width"]]}, **WIDTH}, 34, 5),
        # the versions that first showed widgets from inside left their values there, and null here
        ({"values": [32, None], "properties": {"proxyWidgets": [["-1", "width"], ["13", "height"]]}, **WIDTH}, 32, 24),
        ({"values": [5, 34], "properties": {"proxyWidgets": '[["13", "height"], ["13", "width"]]'}, **WIDTH}, 34, 5),
        ({"values": [5], "properties": {"proxyWidgets": [["13", "no such widget"]]}}, 16, 24),
        ({"values": [5], "properties": {"proxyWidgets": [["77", "height"]]}}, 16, 24),
    ],
)
def test_the_values_of_an_instance(more, width, height):
    inputs = source_with(**more)
    assert (inputs["width"], inputs["height"]) == (width, height)


def test_a_primitive_gives_its_value_to_an_instance_too():
    slot = {"name": "INT", "type": "INT", "links": [2], "widget": {"name": "width"}}
    primitive = node(2, "PrimitiveNode", [40, "fixed"], outputs=[slot])
    saved = graph([primitive, instance(1, "Source", [32], {"width": 2})], [(2, 2, 0, 1, 0, "INT")], SOURCE)
    assert queued(saved)["1:13"][1] == {"width": 40, "height": 24, "batch_size": 1, "color": 0}


def test_a_seed_s_control_is_no_value_of_an_instance():
    inner = subgraph(
        "Two",
        [node(13, "EmptyImage", [16, 24, 1, 0], {"width": 1, "height": 2})],
        [(1, -10, 0, 13, 0, "INT"), (2, -10, 1, 13, 1, "INT")],
        {"width": "INT", "height": "INT"},
        (),
    )
    values = [32, "fixed", 48]
    saved = graph([instance(1, "Two", values, {"width": None, "height": None})], [], inner)
    assert queued(saved)["1:13"][1] | {"width": 32, "height": 48} == queued(saved)["1:13"][1]


@pytest.mark.parametrize("widget", ["width", "13: width", "5: 13: width"])
def test_a_value_for_what_is_promoted_in_a_nested_instance(widget):
    inner = instance(5, "Source", [99], {"width": None})
    outer = subgraph("Around", [inner], [(1, 5, 0, -20, 0, "IMAGE")], {}, ("IMAGE",))
    saved = graph([instance(1, "Around", [21], properties={"proxyWidgets": [["5", widget]]})], [], outer, SOURCE)
    assert queued(saved)["1:5:13"][1]["width"] == 21


def test_a_value_for_what_a_nested_instance_shows_from_inside():
    shown = {"proxyWidgets": [["-1", "width"], ["13", "height"]]}
    inner = instance(5, "Source", [99, None], {"width": None}, properties=shown)
    outer = subgraph("Around", [inner], [(1, 5, 0, -20, 0, "IMAGE")], {}, ("IMAGE",))
    saved = graph([instance(1, "Around", [21], properties={"proxyWidgets": [["5", "13: height"]]})], [], outer, SOURCE)
    assert queued(saved)["1:5:13"][1] == {"width": 99, "height": 21, "batch_size": 1, "color": 0}


def test_what_is_inside_an_instance_that_is_off_does_not_run():
    nodes = [node(1, "EmptyImage", [8, 8, 1, 0]), instance(2, "Source", [32], mode=2), instance(3, "Source", mode=4)]
    assert list(queued(graph(nodes, [], SOURCE))) == ["1"]


def test_an_output_whose_list_of_links_is_out_of_date():
    stale = SOURCE | {"outputs": [SOURCE["outputs"][0] | {"linkIds": []}]}
    nodes = [instance(1, "Source", [32]), node(2, "PreviewImage", links={"images": 4})]
    assert queued(graph(nodes, [(4, 1, 0, 2, 0, "IMAGE")], stale))["2"][1] == {"images": ["1:13", 0]}


def test_a_picture_that_only_passes_through():
    wire = subgraph("Wire", [], [(1, -10, 0, -20, 0, "IMAGE")], {"image": "IMAGE"}, ("image",))
    nodes = [
        node(1, "EmptyImage", [8, 8, 1, 0]),
        instance(2, "Wire", links={"image": 1}),
        node(3, "PreviewImage", links={"images": 2}),
    ]
    saved = graph(nodes, [(1, 1, 0, 2, 0, "IMAGE"), (2, 2, 0, 3, 0, "IMAGE")], wire)
    assert queued(saved)["3"][1] == {"images": ["1", 0]}


def test_a_subgraph_that_holds_itself_is_refused():
    loop = subgraph("Loop", [instance(4, "Loop")], [], {}, ())
    with pytest.raises(GraphError, match="node 1:4: the subgraph 'Loop' holds itself"):
        queued(graph([instance(1, "Loop")], [], loop))


def test_wires_in_a_circle_are_refused():
    wire = subgraph("Wire", [], [(1, -10, 0, -20, 0, "IMAGE")], {"image": "IMAGE"}, ("image",))
    nodes = [instance(2, "Wire", links={"image": 2}), node(3, "PreviewImage", links={"images": 3})]
    with pytest.raises(GraphError, match="circle"):
        queued(graph(nodes, [(2, 2, 0, 2, 0, "IMAGE"), (3, 2, 0, 3, 0, "IMAGE")], wire))


def test_subgraphs_that_multiply_are_refused_before_they_fill_the_memory():
    levels = [subgraph("L0", [node(n, "EmptyImage", [8, 8, 1, 0]) for n in range(10)], [], {}, ())]
    for level in range(1, 12):
        levels.append(subgraph(f"L{level}", [instance(n, f"L{level - 1}") for n in range(10)], [], {}, ()))
    with pytest.raises(GraphError, match="more than 100000 nodes"):
        queued(graph([instance(1, "L11")], [], *levels))


def test_an_instance_without_its_subgraph_says_what_to_do():
    with pytest.raises(GraphError, match="node 1.* is a subgraph, and what it holds is not in the file: save"):
        queued(graph([instance(1, "Gone")], []))
    assert identity("Gone") != identity("Source")
