"""A Zynq's own processor beside the design: registers on the bus, images by DMA, through pynq."""
