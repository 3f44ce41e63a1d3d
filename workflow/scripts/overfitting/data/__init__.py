"""Where the raw images come from: sources tried in order, checksums, and the IDX format."""
