import pytest

from sampan.spec import composer
from sampan.spec.node import List, Map, Scalar


def plain(node):
    """A node as Python's own values, for comparing."""
    match node:  # type: ignore[exhaustive-match]
        case Scalar():
            return node.text
        case List():
            return [plain(item) for item in node.items]
        case Map():
            return {key.text: plain(value) for key, value in node.pairs}
    raise AssertionError(node)


def test_nodes_know_their_places(nodes):
    root, problems = nodes("a:\n  - b\n  - 'c'\nd:\n")
    assert problems == []
    assert plain(root) == {"a": ["b", "c"], "d": ""}
    (key, items), (_, empty) = root.pairs
    assert (key.line, key.column) == (0, 0)
    assert [(item.line, item.column, item.plain) for item in items.items] == [
        (1, 4, True),
        (2, 4, False),
    ]
    assert (empty.line, empty.column) == (3, 0), "nothing is pointed at by its key"


def test_json_is_yaml(nodes):
    root, problems = nodes('{"a":["b",1],\n\t"c":"\\ud83d\\ude00 \\\\ud83d\\\\ude00 \\/"}')
    assert problems == []
    assert plain(root) == {"a": ["b", "1"], "c": "😀 \\ud83d\\ude00 /"}


def test_two_escapes_for_one_letter_are_for_json_alone(nodes):
    _, problems = nodes('{a: "\\ud83d\\ude00"}')
    assert problems[0].message.startswith("not YAML: found invalid Unicode character escape code")


def test_aliases_and_merge_keys(nodes):
    root, problems = nodes(
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {y: 5, <<: *a}\nd: {<<: [*a, *b]}\ne: *a\n"
    )
    assert problems == []
    assert plain(root)["c"] == {"y": "5", "x": "1"}
    assert plain(root)["d"] == {"x": "1", "y": "2", "z": "4"}
    assert plain(root)["e"] == {"x": "1", "y": "2"}


def test_quoted_merge_key_is_a_key(nodes):
    root, _ = nodes("'<<': 1\n")
    assert plain(root) == {"<<": "1"}


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("", "1:1", "the document is empty"),
        ("# nothing\n", "1:1", "the document is empty"),
        ("a: 1\nb: 2\na: 3\n", "3:1", "the key 'a' is given twice"),
        ("x: [{a: 1, a: 2}]", "1:12", "the key 'a' is given twice"),
        ("? [a]\n: b\n", "1:3", "a key must be a single word, not a list or mapping"),
        ("a: {<<: b}\n", "1:9", "<< takes a mapping, or a list of mappings"),
        ("a: *b\n", "1:4", "the alias *b has no anchor before it"),
        ("a: &a [*a]\n", "1:8", "the alias *a has no anchor before it"),
        ("a: 1\n---\nb: 2\n", "2:1", "a second document begins"),
        ("a: !!python/name:os x", "1:4", "the tag 'tag:yaml.org,2002:python/name:os' is not"),
        ("a: [", "2:1", "not YAML: did not find expected node content"),
        ("a: b\n\tc: d\n", "2:1", "not YAML: found a tab character that violates indentation"),
        ("a: \x07", "1:4", "not YAML: control characters are not allowed"),
    ],
)
def test_faults(nodes, text, where, message):
    _, problems = nodes(text)
    assert len(problems) == 1
    assert str(problems[0].where) == f"t.yml:{where}"
    assert problems[0].message.startswith(message)


def test_faults_have_a_path(nodes):
    _, problems = nodes("a:\n  - b: 1\n    c: {x: 1, x: 2}\n")
    assert problems[0].path == "a[0].c"
    assert problems[0].hint == "the first is in line 3; remove one of them"


def test_tabs_are_explained(nodes):
    _, problems = nodes("a:\n\tb: 1\n")
    assert problems[0].hint == "indent with spaces: YAML takes no tabs"


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused(nodes, text):
    root, problems = nodes(text)
    assert root is None
    assert [problem.message for problem in problems] == ["nested deeper than 32 levels"]
    assert len(problems[0].path) < 200


def test_aliases_cannot_hide_nesting(nodes):
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    _, problems = nodes("\n".join(lines))
    assert [problem.message for problem in problems] == ["nested deeper than 32 levels"]


@pytest.mark.parametrize("form", ["a{n}: &a{n} [{old}]", "a{n}: &a{n} {{<<: [{old}], k{n}: 1}}"])
def test_alias_bombs_are_refused(nodes, form):
    lines = ["a0: &a0 {k0: 1}"]
    lines += [form.format(n=n, old=", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 20)]
    root, problems = nodes("\n".join(lines))
    assert root is None
    assert problems[0].message == "the document unfolds to more than 100000 values"
    assert problems[0].hint == "aliases count as often as they are used"


def test_many_values_are_refused(nodes, monkeypatch):
    monkeypatch.setattr(composer, "MAX_NODES", 10)
    assert nodes("[" + "a, " * 9 + "]")[1] == []
    assert nodes("[" + "a, " * 10 + "]")[1] != []


def test_the_parser_of_pure_python_does_as_well(nodes, monkeypatch):
    import yaml

    monkeypatch.delattr(yaml, "CSafeLoader")
    assert plain(nodes("a: &x [1, 'b']\nc: *x\n")[0]) == {"a": ["1", "b"], "c": ["1", "b"]}
    assert nodes("a: [")[1][0].message.startswith("not YAML: expected the node content")
