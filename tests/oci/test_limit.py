import pytest

from sampan.oci.limit import DEFAULT_LIMITS, LimitError, Limits


@pytest.mark.parametrize(
    ("field", "check"),
    [
        ("total_bytes", Limits.check_total),
        ("entries", Limits.check_entries),
        ("name_bytes", Limits.check_name),
        ("header_bytes", Limits.check_header),
        ("metadata_bytes", Limits.check_metadata),
    ],
)
def test_every_limit_is_named_with_the_archive(field, check):
    bound = getattr(DEFAULT_LIMITS, field)
    check(DEFAULT_LIMITS, bound, "layer 1")
    with pytest.raises(LimitError, match=rf"layer 1: .*\({field}\)"):
        check(DEFAULT_LIMITS, bound + 1, "layer 1")


def test_the_hint_promises_no_flag():
    assert "no flag changes it" in (LimitError("layer 1", "much").hint or "")
