"""Ways to descend, one file each, and what they share."""
