"""The network in torch: architecture, export, published weights, explanation."""
