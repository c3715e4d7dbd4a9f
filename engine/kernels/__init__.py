"""Own kernels for what torch does in several passes over memory; compiled on demand, and never needed."""
