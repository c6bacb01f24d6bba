"""What every room may use: errors, files, interrupts, batches, a cache. Nothing in here knows a picture's meaning."""
