"""Machines that have names: what is written down of them, and who may run them."""
