"""The same networks with fewer passes: fused norms, folding, CUDA graphs."""
