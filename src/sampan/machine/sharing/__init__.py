"""Folders of the host that machines see."""
