"""How the benchmarks measure: interleaved timing, memory of a fresh process, the machine."""
