"""The same sampler with fewer or cheaper evaluations: CUDA graphs, DeepCache, adaptive guidance."""
