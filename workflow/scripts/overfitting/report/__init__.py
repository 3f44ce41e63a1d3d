"""The report: its tables, its figures, and the Markdown and HTML pages that show them."""
