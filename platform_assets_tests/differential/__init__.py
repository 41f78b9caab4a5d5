"""Great Expectations itself against this platform's expectations, on the same generated tables.

Great Expectations lives in an environment of its own. ``make test-ge`` makes it and runs these tests; they are
skipped otherwise, since they take a minute.
"""
