"""What the tests of several folders share; a failed assert in it shows its values, too."""

import pytest

for module in ("books", "command", "fixtures", "http", "processes", "service"):
    pytest.register_assert_rewrite(f"tests.support.{module}")
