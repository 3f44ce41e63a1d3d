"""Getting the raw images: download sources, checksums and the IDX format."""
