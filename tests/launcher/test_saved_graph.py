"""Whatever has another type than the canvas writes is refused in one line that says what and where."""

from __future__ import annotations

import pytest

from instructdiffusion.launcher.saved_graph import GraphError, read_saved

NODE = {"id": 1, "type": "EmptyImage"}


def inside(**more):
    return {"nodes": [], "definitions": {"subgraphs": [{"id": "u", "name": "Mine", "nodes": [], **more}]}}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"nodes": [], "links": 10**400}, "`links` should be a list"),
        ({"nodes": [], "links": [None]}, "a link should be"),
        ({"nodes": [], "links": [[{}, 1, 0, 2, 0]]}, "a link should be"),
        ({"nodes": [], "links": [[1, 1, -1, 2, 0]]}, "a link should be"),
        ({"nodes": [], "links": [[1, [], 0, 2, 0]]}, "a link should be"),
        ({"nodes": [5]}, "needs an `id` and a `type`"),
        ({"nodes": [{"id": {}, "type": "A"}]}, "needs an `id` and a `type`"),
        ({"nodes": [{"id": 1, "type": ["A"]}]}, "needs an `id` and a `type`"),
        ({"nodes": [NODE, {"id": "1", "type": "A"}]}, "two nodes have the id '1'"),
        ({"nodes": [{**NODE, "title": ["a"]}]}, "node 1: `title` should be a text"),
        ({"nodes": [{**NODE, "mode": "2"}]}, "node 1: `mode` should be a number"),
        ({"nodes": [{**NODE, "widgets_values": "text"}]}, "node 1: `widgets_values` should be"),
        ({"nodes": [{**NODE, "widgets_values_named": []}]}, "node 1: `widgets_values_named` should be an object"),
        ({"nodes": [{**NODE, "inputs": {"a": 1}}]}, "node 1: `inputs` should be a list"),
        ({"nodes": [{**NODE, "inputs": [{"name": 4}]}]}, "node 1: `inputs` should be a list of objects with a `name`"),
        ({"nodes": [{**NODE, "inputs": [{"name": "a", "link": []}]}]}, "the `link` of an input should be a number"),
        ({"nodes": [{**NODE, "outputs": 3}]}, "node 1: `outputs` should be a list"),
        ({"nodes": [{**NODE, "properties": []}]}, "node 1: `properties` should be an object"),
        ({"nodes": [{**NODE, "properties": {"proxyWidgets": [["a"]]}}]}, "`proxyWidgets` should be a list of"),
        ({"nodes": [{**NODE, "properties": {"proxyWidgets": "["}}]}, "`proxyWidgets` should be a list of"),
        ({"nodes": [], "definitions": []}, "`definitions` should be an object"),
        ({"nodes": [], "definitions": {"subgraphs": [{"id": []}]}}, "every entry of `definitions.subgraphs`"),
        (inside(inputs=[{"name": None}]), "subgraph 'Mine', `inputs` should be a list of objects with a `name`"),
        (inside(outputs=[{"name": "a", "linkIds": [[]]}]), "`linkIds` should be a list of numbers"),
        (inside(inputNode={"id": []}), "`inputNode` needs an `id`"),
        (inside(links="no"), "subgraph 'Mine', the graph: `links` should be a list"),
    ],
)
def test_wrong_types_are_refused(data, words):
    with pytest.raises(GraphError) as caught:
        read_saved(data)
    assert words in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_what_the_canvas_leaves_out_is_nothing():
    graph = read_saved({"nodes": [{**NODE, "inputs": None, "mode": None}], "links": None, "definitions": None}).graph
    assert graph.nodes["1"].runs and graph.nodes["1"].inputs == () and graph.links == {}
