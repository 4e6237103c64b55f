from sampan.machine.drivers import qemu_agent


def test_the_words():
    assert qemu_agent.words(None) == ()
    assert qemu_agent.words(9) == (
        "-chardev", "socket,id=agent,fd=9,server=on,wait=off",
        "-device", "virtio-serial-pci,id=serial0,max_ports=2",
        "-device",
        "virtserialport,id=agent0,bus=serial0.0,chardev=agent,name=dev.sampan.agent.0",
    )  # fmt: skip


def test_the_guest_looks_for_the_same_name():
    from sampan.guest.remote import port

    assert qemu_agent.PORT == port.NAME
