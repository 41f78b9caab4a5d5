"""Great Expectations itself against this platform's expectations, on the same generated tables.

Great Expectations lives in an environment of its own (``python -m platform_assets_tests.differential``); without
it these tests are skipped, with the command to make it.
"""
