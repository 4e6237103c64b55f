"""Disks and discs of machines: the files behind them."""
