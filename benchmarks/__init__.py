"""Side-by-side measurements: the raw drivers, sessionstore, and its peers. See docs/performance.md."""
