"""What an evaluation says: tables, pages and pictures."""
