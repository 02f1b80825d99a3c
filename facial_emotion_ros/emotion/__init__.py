"""From face crops to emotions: ESR network, ensemble, quality gate, temporal filter."""
