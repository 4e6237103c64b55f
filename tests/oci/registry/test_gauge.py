from sampan.oci.registry.gauge import Gauge


class Total:
    amount = 0

    def advance(self, amount):
        self.amount += amount


def test_bytes_count_once():
    total = Total()
    gauge = Gauge(total)
    for position in (10, 30, 0, 20, 30, 35):
        gauge.reached(position)
    assert total.amount == 35
