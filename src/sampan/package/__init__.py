"""Packages: from a folder with a `build.yml` to an OCI image in the cache.

Knows Debian, apt, Dockerfile builders and the OCI cache; knows nothing of system
descriptions, machines or output formats.
"""
