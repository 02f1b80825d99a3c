"""From face crops to emotions: the ESR network, the ensemble, quality gate, temporal filter."""
