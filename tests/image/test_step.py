from sampan.image import step


def test_the_fixed_time_is_linuxkits():
    from datetime import UTC, datetime

    assert (
        datetime.fromtimestamp(step.FIXED_MTIME_S, UTC).isoformat() == "2017-04-18T16:30:00+00:00"
    )


def test_what_is_not_given_is_nothing():
    assert step.Supplies() == step.Supplies(kernel=None, images={}, installed=(), sbom=None)
    assert step.Plan(()).cmdline == ""
