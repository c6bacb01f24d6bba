"""Quality against UNet evaluations, cell by cell, and the defaults that follow."""
