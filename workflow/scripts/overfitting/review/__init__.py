"""What changed between two commits, and whether it is more than noise."""
