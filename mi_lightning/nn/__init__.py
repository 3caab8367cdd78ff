"""Networks in pure torch: no Lightning, usable on their own."""
