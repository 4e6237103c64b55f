"""Container images: names, documents, layers, and the cache on disk they live in.

Knows the OCI image and distribution specifications and nothing about machines or about the
YAML file. Images are data here: nothing in this package runs what is inside one.
"""
