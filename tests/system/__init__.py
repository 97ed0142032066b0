"""The whole service as a process, over HTTP: the cases of the behavioural contract."""

import pytest

pytest.register_assert_rewrite("tests.support.http", "tests.support.fixtures")
