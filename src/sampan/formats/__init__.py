"""What a built system is written as: archives, initrds, kernels; one module per family.

Codecs and containers of bytes only. What goes into them is decided in `sampan.image`.
"""
