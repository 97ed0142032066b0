"""`refundry api` with passwords that cost next to nothing, for tests that are not about them."""

import argparse
import sys
from pathlib import Path

from refundry.api_server import serve_api
from refundry.command_line import read_settings
from refundry.db.limits import Pools
from refundry.hosting import database_ready, fit_pools
from tests.support.people import QUICK

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    settings = read_settings(host=options.host, port=options.port, data_dir=options.data_dir)
    with database_ready(settings, "quick api", lambda text: print(text, file=sys.stderr)):
        serve_api(fit_pools(settings, Pools(1)), fd=None, hasher=QUICK)
