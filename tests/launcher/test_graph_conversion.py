"""Graphs as the canvas saves them become what the server executes."""

from __future__ import annotations

import pytest

from instructdiffusion.launcher.graph_conversion import GraphError, is_link, to_api


def draw(name, link, values, **more):
    """A node Draw whose picture comes by a link."""
    inputs = [{"name": "image", "type": "IMAGE", "link": link}]
    return {"id": name, "type": "Draw", "inputs": inputs, "widgets_values": values, **more}


def source(name=1):
    return {
        "id": name,
        "type": "EmptyImage",
        "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
        "widgets_values": [8, 3],
    }


def link(number, origin, target, kind="IMAGE", slot=0, into=0):
    return [number, origin, slot, target, into, kind]


def inputs_of(nodes, links, object_info, name="9"):
    return to_api({"nodes": nodes, "links": links}, object_info)[name]["inputs"]


DRAWN = {"seed": 5, "solver": "heun", "strength": 0.5, "tiled": True, "name": "n"}


@pytest.mark.parametrize("control", ["fixed", "randomize", "increment", "decrement"])
def test_the_widget_after_a_seed_is_passed_over(control, object_info):
    nodes = [source(), draw(9, 4, [5, control, "heun", 0.5, True, "n"])]
    assert inputs_of(nodes, [link(4, 1, 9)], object_info) == {"image": ["1", 0], **DRAWN}


def test_a_file_without_that_widget(object_info):
    nodes = [source(), draw(9, 4, [5, "heun", 0.5, True, "n"])]
    assert inputs_of(nodes, [link(4, 1, 9)], object_info) == {"image": ["1", 0], **DRAWN}


def test_a_seed_is_known_by_its_name_too(object_info):
    del object_info["Draw"]["input"]["required"]["seed"][1]["control_after_generate"]
    nodes = [draw(9, None, [5, "fixed", "heun", 0.5, True, "n"])]
    assert inputs_of(nodes, [], object_info) == DRAWN


def test_a_combo_with_control_has_two_widgets_more(object_info):
    object_info["Draw"]["input"]["required"]["solver"][1]["control_after_generate"] = True
    nodes = [draw(9, None, [5, "fixed", "heun", "increment-wrap", "", 0.5, True, "n"])]
    assert inputs_of(nodes, [], object_info) == DRAWN


def test_values_by_name(object_info):
    nodes = [draw(9, None, {"seed": 5, "solver": "heun", "preview": {}})]
    expected = {"seed": 5, "solver": "heun", "strength": 1.0, "tiled": False, "name": "x"}
    assert inputs_of(nodes, [], object_info) == expected


def test_widgets_newer_than_the_file_take_their_defaults(object_info):
    nodes = [draw(9, None, [5, "fixed", "heun"])]
    expected = {"seed": 5, "solver": "heun", "strength": 1.0, "tiled": False, "name": "x"}
    assert inputs_of(nodes, [], object_info) == expected


def test_a_value_kept_from_before_a_widget_became_a_socket(object_info):
    nodes = [draw(9, None, [5, "fixed", "heun", 0.5, True, "old words", "n"])]
    assert inputs_of(nodes, [], object_info) == DRAWN


def test_the_order_is_the_servers(object_info):
    required = object_info["Draw"]["input"]["required"]
    object_info["Draw"]["input"]["required"] = dict(sorted(required.items(), reverse=True))
    nodes = [draw(9, None, [5, "fixed", "heun", 0.5, True, "n"])]
    assert inputs_of(nodes, [], object_info) == DRAWN


@pytest.mark.parametrize(
    "values", [["a.png", "image", "alpha"], ["a.png", "alpha", "image"], ["a.png", "alpha"]]
)
def test_the_upload_button_is_no_input(values, object_info):
    object_info["LoadImage"]["input"]["optional"] = {"channel": [["red", "alpha"], {}]}
    nodes = [{"id": 9, "type": "LoadImage", "widgets_values": values}]
    assert inputs_of(nodes, [], object_info) == {"image": "a.png", "channel": "alpha"}


def test_a_choice_brings_its_own_widgets(object_info):
    def option(key, **inputs):
        return {"key": key, "inputs": {"required": inputs}}

    options = [
        option("plain"),
        option("sized", picture=["IMAGE", {}], seed=["INT", {}], side=["INT", {"default": 4}]),
    ]
    required = object_info["Draw"]["input"]["required"]
    required["solver"] = ["COMFY_DYNAMICCOMBO_V3", {"options": options}]
    nodes = [draw(9, None, [5, "fixed", "plain", 0.5, True, "n"])]
    assert inputs_of(nodes, [], object_info) == {**DRAWN, "solver": "plain"}
    nodes = [draw(9, None, [5, "fixed", "sized", 1, 64, 0.5, True, "n"])]
    expected = {**DRAWN, "solver": "sized", "solver.seed": 1, "solver.side": 64}
    assert inputs_of(nodes, [], object_info) == expected


def test_a_list_is_not_taken_for_a_link(object_info):
    nodes = [draw(9, None, [5, "fixed", "heun", 0.5, True, ["1", 0]])]
    assert inputs_of(nodes, [], object_info)["name"] == {"__value__": ["1", 0]}
    assert not is_link({"__value__": ["1", 0]}) and is_link(["1", 0]) and not is_link(["1", True])


def converted(name, target, number):
    """The slot of a widget that takes its value from a link."""
    return {"name": name, "type": target, "link": number, "widget": {"name": name}}


def test_a_link_into_a_widget_takes_its_place(object_info):
    node = draw(9, 4, [5, "fixed", "heun", 0.5, True, "n"])
    node["inputs"].append(converted("strength", "FLOAT", 6))
    nodes = [source(), draw(2, None, [1, "fixed", "euler", 1.0, False, "m"]), node]
    found = inputs_of(nodes, [link(4, 1, 9), link(6, 2, 9, "FLOAT", 1, 1)], object_info)
    assert found == {"image": ["1", 0], **DRAWN, "strength": ["2", 1]}


def test_a_primitive_gives_its_value(object_info):
    node = draw(9, None, [5, "fixed", "heun", 0.5, True, "n"])
    node["inputs"].append(converted("strength", "FLOAT", 6))
    primitive = {"id": 2, "type": "PrimitiveNode", "widgets_values": [1.5, "fixed"]}
    graph = {"nodes": [primitive, node], "links": [link(6, 2, 9, "FLOAT", 0, 1)]}
    found = to_api(graph, object_info)
    assert list(found) == ["9"] and found["9"]["inputs"] == {**DRAWN, "strength": 1.5}


def test_reroutes_are_followed(object_info):
    def reroute(name, number):
        return {"id": name, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": number}]}

    nodes = [source(), reroute(2, 1), reroute(3, 2), draw(9, 3, [5, "fixed", "heun", 0.5, True, "n"])]
    links = [link(1, 1, 2), link(2, 2, 3), link(3, 3, 9)]
    found = to_api({"nodes": nodes, "links": links}, object_info)
    assert list(found) == ["1", "9"] and found["9"]["inputs"]["image"] == ["1", 0]


def test_a_circle_of_reroutes_is_named(object_info):
    reroute = {"id": 2, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 1}]}
    nodes = [reroute, draw(9, 2, [])]
    with pytest.raises(GraphError, match="circle"):
        to_api({"nodes": nodes, "links": [link(1, 2, 2), link(2, 2, 9)]}, object_info)


def test_a_bypassed_node_hands_on_what_fits(object_info):
    bypassed = draw(2, 4, [], mode=4, outputs=[{"name": "IMAGE", "type": "IMAGE"}])
    bypassed["inputs"].insert(0, {"name": "mask", "type": "MASK", "link": None})
    nodes = [source(), bypassed, draw(9, 5, [5, "fixed", "heun", 0.5, True, "n"])]
    links = [link(4, 1, 2, into=1), link(5, 2, 9)]
    found = to_api({"nodes": nodes, "links": links}, object_info)
    assert list(found) == ["1", "9"] and found["9"]["inputs"]["image"] == ["1", 0]


def test_a_bypassed_node_prefers_the_input_beside_the_output(object_info):
    bypassed = {
        "id": 3,
        "type": "Draw",
        "mode": 4,
        "inputs": [{"name": name, "type": "IMAGE", "link": n} for name, n in (("a", 1), ("b", 2))],
        "outputs": [{"name": name, "type": "IMAGE"} for name in "xy"],
    }
    nodes = [source(1), source(2), bypassed, draw(9, 3, [])]
    links = [link(1, 1, 3), link(2, 2, 3, into=1), link(3, 3, 9, slot=1)]
    assert inputs_of(nodes, links, object_info)["image"] == ["2", 0]


def test_a_bypassed_node_of_other_types_gives_nothing(object_info):
    bypassed = {
        "id": 3,
        "type": "Draw",
        "mode": 4,
        "inputs": [{"name": "m", "type": "MASK", "link": 1}],
        "outputs": [{"name": "x", "type": "IMAGE"}],
    }
    nodes = [source(1), bypassed, draw(9, 3, [])]
    assert "image" not in inputs_of(nodes, [link(1, 1, 3, "MASK"), link(3, 3, 9)], object_info)


def test_a_muted_node_and_the_links_from_it_are_gone(object_info):
    nodes = [{**source(), "mode": 2}, draw(9, 4, [5, "fixed", "heun", 0.5, True, "n"])]
    found = to_api({"nodes": nodes, "links": [link(4, 1, 9)]}, object_info)
    assert list(found) == ["9"] and found["9"]["inputs"] == DRAWN


def test_a_widget_keeps_its_value_where_a_muted_node_is_linked_to_it(object_info):
    node = draw(9, None, [5, "fixed", "heun", 0.5, True, "n"])
    node["inputs"].append(converted("strength", "FLOAT", 6))
    muted = draw(2, None, [1, "fixed", "euler", 1.0, False, "m"], mode=2)
    assert inputs_of([muted, node], [link(6, 2, 9, "FLOAT", 1, 1)], object_info) == DRAWN


def test_notes_are_left_out_and_lone_nodes_stay(object_info):
    nodes = [source(), *({"id": 7 + n, "type": kind} for n, kind in enumerate(("Note", "MarkdownNote")))]
    found = to_api({"nodes": nodes, "links": []}, object_info)
    assert found == {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "color": 3},
            "_meta": {"title": "EmptyImage"},
        }
    }


def test_links_as_objects_and_node_types_the_server_lacks_where_it_does_not_matter(object_info):
    links = [{"id": 4, "origin_id": 1, "origin_slot": 0, "target_id": 9, "target_slot": 0, "type": "IMAGE"}]
    nodes = [source(), draw(9, 4, []), {"id": 3, "type": "Unknown", "mode": 4}]
    assert inputs_of(nodes, links, object_info)["image"] == ["1", 0]


def test_inputs_that_grow_are_handed_on(object_info):
    node = draw(9, None, [])
    node["inputs"].append({"name": "image_2", "type": "IMAGE", "link": 4})
    assert inputs_of([source(), node], [link(4, 1, 9)], object_info)["image_2"] == ["1", 0]


def test_the_api_form_passes(object_info):
    api = {"1": {"class_type": "EmptyImage", "inputs": {"width": 1}, "_meta": {"title": "t"}}}
    assert to_api(api, object_info) == api
    assert to_api({"prompt": api}, object_info) == api


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ([], "JSON object"),
        ({"a": 1}, "no ComfyUI graph"),
        ({"1": {"class_type": "EmptyImage", "inputs": []}}, "node 1: `inputs`"),
        ({"1": {"class_type": "Nothing", "inputs": {}}}, r"Nothing \(node 1\)"),
        ({"nodes": [{"id": 1}]}, "`id` and a `type`"),
        ({"nodes": []}, "no node that could be run"),
        ({"nodes": [{"id": 1, "type": "Note"}]}, "no node that could be run"),
        ({"nodes": [source()], "links": [[1, 2]]}, "a link should be"),
        ({"nodes": [{**source(), "inputs": [3]}]}, "node 1: `inputs`"),
        ({"nodes": [{"id": 1, "type": "A"}, {"id": 2, "type": "A"}]}, r"A \(node 1, 2\)"),
        ({"nodes": [draw(9, 4, [])], "links": [link(4, 77, 9)]}, "node 77, which is not in the graph"),
        ({"nodes": [{"id": 1, "type": "workflow>mine"}]}, "group node"),
    ],
)
def test_what_cannot_be_run_is_refused(graph, words, object_info):
    with pytest.raises(GraphError, match=words):
        to_api(graph, object_info)
