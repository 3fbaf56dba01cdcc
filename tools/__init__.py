"""What typesets the records below results/: tables, pages and pictures."""
