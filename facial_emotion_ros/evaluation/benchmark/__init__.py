"""Speed of networks, engines and streams."""
