"""Lines are followed through what is only on the canvas: Set and Get, reroutes of other packs, labels."""

from __future__ import annotations

import pytest

from instructdiffusion.launcher.graph_conversion import GraphError, MissingTypes, to_api

from .canvas_graphs import OBJECT_INFO, graph, instance, node, subgraph


def setter(number, link, name="ask", kind="SetNode"):
    return node(number, kind, [name], {"IMAGE": link})


def getter(number, name="ask", kind="GetNode"):
    return node(number, kind, [name])


def shown(number, link):
    return node(number, "PreviewImage", links={"images": link})


def line(number, origin, target, slot=0, into=0):
    return (number, origin, slot, target, into, "IMAGE")


SOURCE = node(1, "EmptyImage", [8, 8, 1, 0])


def images(saved, name="9"):
    return to_api(saved, OBJECT_INFO)[name]["inputs"].get("images")


@pytest.mark.parametrize("kinds", [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
def test_a_get_takes_what_its_set_names(kinds):
    nodes = [SOURCE, setter(2, 1, kind=kinds[0]), getter(3, kind=kinds[1]), shown(9, 2)]
    saved = graph(nodes, [line(1, 1, 2), line(2, 3, 9)])
    assert images(saved) == ["1", 0] and list(to_api(saved, OBJECT_INFO)) == ["1", "9"]


def test_a_set_hands_on_and_a_get_sees_through_another_set():
    nodes = [SOURCE, setter(2, 1), getter(3), setter(4, 2, "again"), shown(9, 3)]
    assert images(graph(nodes, [line(1, 1, 2), line(2, 3, 4), line(3, 4, 9)])) == ["1", 0]


def test_a_get_without_a_set_gives_nothing():
    assert images(graph([SOURCE, getter(3), shown(9, 2)], [line(2, 3, 9)])) is None


@pytest.mark.parametrize(("muted", "source"), [(2, ["1", 0]), (3, None)])
def test_a_muted_get_gives_nothing_and_a_muted_set_still_does(muted, source):
    nodes = [SOURCE, setter(2, 1), getter(3), shown(9, 2)]
    for entry in nodes:
        entry["mode"] = 2 if entry["id"] == muted else 0
    assert images(graph(nodes, [line(1, 1, 2), line(2, 3, 9)])) == source


def test_the_name_of_a_set_by_name():
    nodes = [SOURCE, setter(2, 1, "old") | {"widgets_values_named": {"Constant": "ask"}}, getter(3), shown(9, 2)]
    assert images(graph(nodes, [line(1, 1, 2), line(2, 3, 9)])) == ["1", 0]


def test_sets_and_gets_in_a_circle_are_named():
    nodes = [setter(2, 1), getter(3), shown(9, 2)]
    with pytest.raises(GraphError, match="circle"):
        images(graph(nodes, [line(1, 3, 2), line(2, 3, 9)]))


def inner(*nodes):
    return subgraph("Inside", [*nodes, getter(3), shown(9, 2)], [line(2, 3, 9)], {}, ())


def test_a_get_inside_a_subgraph_looks_outside():
    saved = graph([SOURCE, setter(2, 1), instance(7, "Inside")], [line(1, 1, 2)], inner())
    assert images(saved, "7:9") == ["1", 0]


def test_a_get_prefers_its_own_graph():
    own = subgraph(
        "Inside",
        [node(5, "EmptyImage", [9, 8, 1, 0]), setter(2, 1), getter(3), shown(9, 2)],
        [line(1, 5, 2), line(2, 3, 9)],
        {},
        (),
    )
    saved = graph([SOURCE, setter(2, 1), instance(7, "Inside")], [line(1, 1, 2)], own)
    assert images(saved, "7:9") == ["7:5", 0]


def test_a_name_that_two_sets_outside_give_is_refused():
    saved = graph([SOURCE, setter(2, 1), setter(4, None), instance(7, "Inside")], [line(1, 1, 2)], inner())
    with pytest.raises(GraphError, match="node 7:3 gets 'ask', which several nodes set: 2, 4"):
        images(saved, "7:9")


def test_the_reroute_of_another_pack():
    nodes = [SOURCE, node(2, "Reroute (rgthree)", links={"": 1}), shown(9, 2)]
    assert images(graph(nodes, [line(1, 1, 2), line(2, 2, 9)])) == ["1", 0]


def test_what_mutes_others_is_left_out_with_its_lines():
    nodes = [SOURCE, node(2, "Fast Muter (rgthree)", links={"a": 1}), shown(9, 2)]
    saved = graph(nodes, [line(1, 1, 2), line(2, 1, 9)])
    assert list(to_api(saved, OBJECT_INFO)) == ["1", "9"]


def test_what_no_server_knows_and_nothing_is_linked_to_is_left_out_and_named():
    said = []
    ornament = node(4, "Signpost (my pack)", title="Look here")
    prompt = to_api(graph([SOURCE, ornament, shown(9, 2)], [line(2, 1, 9)]), OBJECT_INFO, said.append)
    assert list(prompt) == ["1", "9"]
    (text,) = said
    assert "Look here (Signpost (my pack), node 4)" in text


@pytest.mark.parametrize("links", [[line(2, 1, 9), line(3, 1, 4)], [line(2, 4, 9)]])
def test_an_unknown_node_that_takes_part_is_refused(links):
    unknown = node(4, "VideoCombine", links={"images": 3})
    with pytest.raises(MissingTypes, match=r"VideoCombine \(node 4\)"):
        to_api(graph([SOURCE, unknown, shown(9, 2)], links), OBJECT_INFO)
