"""Two machines behind nginx on one PostgreSQL; one dies under load: `.venv/bin/python -m tests.scale_out`."""
