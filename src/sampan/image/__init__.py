"""From a specification and images to a bootable system.

`plan` decides (pure), `assemble` writes, `build` joins the two with the cache. Knows nothing of
machines and networks; what files look like byte by byte is in `sampan.formats`.
"""
