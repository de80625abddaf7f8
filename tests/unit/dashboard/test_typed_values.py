"""What a person types into the try-it form, by datatype; run by node."""

from __future__ import annotations

from typing import Any

import pytest
from test_live_script import NODE, run

pytestmark = [pytest.mark.skipif(NODE is None, reason="node is not installed"), pytest.mark.slow]


@pytest.mark.parametrize(
    ("text", "datatype", "values"),
    [
        ("1, 2 3", "FP32", [1, 2, 3]),
        ("[1.5, 2]", "BF16", [1.5, 2]),
        ("[[1], [2]]", "INT8", [[1], [2]]),
        ("true, false", "BOOL", [True, False]),
        ("some words", "FP32", ["some words"]),
        ('"one", "two, three"', "BYTES", ["one", "two, three"]),
        ('["one", "two"]', "BYTES", ["one", "two"]),
        ('[["a"], ["b"]]', "BYTES", [["a"], ["b"]]),
        ("a question, with a comma?", "BYTES", ["a question, with a comma?"]),
        ("first line\n12", "BYTES", ["first line", "12"]),
        ("12", "BYTES", ["12"]),
        ("[1, 2]", "BYTES", ["[1, 2]"]),
        ("", "BYTES", []),
        ("é 😀", "BYTES", ["é 😀"]),
    ],
)
def test_typed_text_becomes_values_of_the_datatype(text: str, datatype: str, values: list[Any]) -> None:
    script = 'import { parse } from "./values.js"; console.log(JSON.stringify(parse(given.text, given.datatype)));'
    assert run(script, text=text, datatype=datatype) == values


def test_every_datatype_has_an_example_that_it_takes() -> None:
    from proxy.core.tensors import DATATYPES

    script = """
    import { example, exampleShape, parse, round } from "./values.js";
    const shape = [-1, -1];
    console.log(JSON.stringify(given.names.map((datatype) =>
      [parse(example(datatype), datatype), exampleShape({ datatype, shape }), round(1.23456, datatype)])));
    """
    found = dict(zip(DATATYPES, run(script, names=list(DATATYPES)), strict=True))
    for name, (values, shape, rounded) in found.items():
        assert values == {"BYTES": ["text"], "BOOL": [False]}.get(name, [0])
        assert shape == [1, 1 if name == "BYTES" else 512]
        assert rounded == (1.2346 if name in ("FP16", "BF16", "FP32", "FP64") else 1)


def test_an_answer_of_strings_is_shown_as_strings() -> None:
    script = """
    class Node {
      constructor(tag) { this.tag = tag; this.children = []; this.attributes = {}; this.style = {}; }
      append(...children) { this.children.push(...children); }
      replaceChildren(...children) { this.children = children; }
      setAttribute(name, value) { this.attributes[name] = value; }
    }
    globalThis.document = { createElement: (tag) => new Node(tag), createTextNode: (text) => text };
    const host = new Node("div");
    const { showAnswer } = await import("./answer.js");
    showAnswer(host, { outputs: [{ name: "s", datatype: "BYTES", shape: [1, 2], data: ["a", "</script>"] }] }, "{}");
    console.log(JSON.stringify(JSON.stringify(host.children)));
    """
    assert '\\"a\\", \\"</script>\\"' in run(script)
