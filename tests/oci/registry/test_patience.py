import pytest

from sampan.oci.registry.fault import RegistryError
from sampan.oci.registry.patience import Patience, patiently


def transient(**options):
    return RegistryError("later", transient=True, **options)


def test_waits_grow_until_patience_ends():
    waits: list[float] = []

    def work():
        raise transient()

    with pytest.raises(RegistryError, match="later"):
        patiently(work, waits.append)
    assert waits == [0.5, 1, 2, 4]


def test_what_does_not_pass_is_not_tried_again():
    waits: list[float] = []

    def work():
        raise RegistryError("never")

    with pytest.raises(RegistryError, match="never"):
        patiently(work, waits.append)
    assert waits == []


def test_success_ends_it():
    outcomes = [transient(wait_s=7), transient(), None]

    def work():
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome
        return "done"

    waits: list[float] = []
    assert patiently(work, waits.append) == "done"
    assert waits == [7, 1]  # as long as the registry asks, if that is longer


def test_progress_renews_patience():
    waits: list[float] = []
    patience = Patience(waits.append)
    for _ in range(9):
        patience.bear(transient())
        patience.renew()
    assert waits == [0.5] * 9
