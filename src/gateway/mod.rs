//! Stage 4: all that a sandbox may reach: the model proxy and the egress proxy.
