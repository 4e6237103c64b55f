"""What may stand in tracked text: no address of a package index, no dead link."""

import re
import urllib.parse
from pathlib import Path

# written in pieces, because this file is tracked too
INDEXES = [
    ".".join(words)
    for words in (
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("snapshot", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("proxy", "golang", "org"),
    )
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def _text(path: Path) -> str | None:
    data = path.read_bytes()
    return None if b"\0" in data[:4096] else data.decode(errors="replace")


def test_no_address_of_a_package_index(root, tracked):
    found = [
        f"{path.relative_to(root)}: {index}"
        for path in tracked
        if (text := _text(path)) is not None
        for index in INDEXES
        if index in text
    ]
    assert not found, "\n".join(found)


def test_links_between_documents_lead_somewhere(root, tracked):
    broken = []
    for path in tracked:
        if path.suffix != ".md":
            continue
        for target in LINK.findall(CODE.sub("", path.read_text())):
            address = urllib.parse.urlsplit(target)
            if address.scheme or not address.path:
                continue
            if not (path.parent / urllib.parse.unquote(address.path)).exists():
                broken.append(f"{path.relative_to(root)}: {target}")
    assert not broken, "\n".join(broken)


def test_text_files_end_with_one_newline(root, tracked):
    wrong = [
        str(path.relative_to(root))
        for path in tracked
        if path.suffix in (".py", ".md", ".toml", ".yml")
        and not {"parity", "corpus"} & set(path.parts)
        and (data := path.read_bytes())
        and (not data.endswith(b"\n") or data.endswith(b"\n\n"))
    ]
    assert not wrong, "\n".join(wrong)
