"""Native code: arrays in, arrays out. C++ for the CPU with a readable torch twin of every op."""
