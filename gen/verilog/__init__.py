"""Files for tools: memory images, Verilog, vectors of a bench."""
