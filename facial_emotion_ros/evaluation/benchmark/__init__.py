"""Benchmarks: throughput of networks and inference engines, latency of the node."""
