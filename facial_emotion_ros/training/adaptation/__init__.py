"""A small correction of the network, fitted on the faces of the people that a robot meets."""
