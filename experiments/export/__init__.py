"""A report as a file: PDF, PNG, CSV, a notebook that checks it, and the SQL behind it."""
