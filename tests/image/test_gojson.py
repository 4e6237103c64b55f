from sampan.image import gojson


def test_four_spaces_no_newline_and_go_escapes():
    document = {"a": ["<&>", "é\u2028"], "b": {}, "c": [], "d": 1, "e": True}
    assert gojson.encode(document).decode() == (
        '{\n    "a": [\n        "\\u003c\\u0026\\u003e",\n        "é\\u2028"\n    ],\n'
        '    "b": {},\n    "c": [],\n    "d": 1,\n    "e": true\n}'
    )


def test_a_lone_surrogate_does_not_stop_it():
    assert gojson.encode(["\udcff"]) == b'[\n    "?"\n]'
