"""Floor 0: pixel operations on planes. `ref` is the oracle, `ops` chooses the backend that runs."""
