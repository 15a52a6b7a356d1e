"""What operators ask and are told: will it work, what is wrong, and the figures."""
