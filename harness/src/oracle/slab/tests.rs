//! The rules, each on the shortest trace that breaks it, and whole workloads over caches that break none.
