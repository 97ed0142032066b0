"""The whole service as a process, over HTTP: the cases of the behavioural contract."""
