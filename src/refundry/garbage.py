"""When Python looks for garbage that refers to itself."""

import gc


def collect_rarely() -> None:
    """Leave what is there out of the search for good, and search seldom among the rest.

    What serves a request or books an outcome is freed by its references when that has ended; the
    search goes through all that others have under way, finds next to nothing, and took a sixth of
    the worker's time. Call it once everything is loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
