//! Attacks by the checkout: what the repository brings along for the agent and its tools, and what a hijacked agent tries.
