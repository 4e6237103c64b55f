import os

from sampan.guest.remote import port


def test_the_port_is_found_by_its_name(tmp_path):
    assert port.find(str(tmp_path / "none")) is None
    for device, name in (("vport0p1", "org.other.0\n"), ("vport1p1", f"{port.NAME}\n")):
        (tmp_path / device).mkdir()
        (tmp_path / device / "name").write_text(name)
    (tmp_path / "vport0p0").mkdir()
    assert port.find(str(tmp_path)) == "/dev/vport1p1"


def test_it_does_not_wait():
    descriptor = port.open_port("/dev/null")
    assert not os.get_blocking(descriptor)
    os.close(descriptor)
