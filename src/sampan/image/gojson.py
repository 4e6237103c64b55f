"""JSON as Go's encoder indents and escapes it, so that documents equal LinuxKit's to the byte.

Four spaces, `<`, `>` and `&` escaped, keys in the order given, no newline at the end
(linuxkit.md 2.3). Pure.
"""

from __future__ import annotations

import json

_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def encode(document: object) -> bytes:
    """`document` (dicts, lists, strings, numbers) as bytes of UTF-8."""
    text = json.dumps(document, indent=4, ensure_ascii=False)
    return text.translate(_ESCAPES).encode("utf-8", "replace")
