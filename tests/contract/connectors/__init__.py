"""The contract suite: what every connector to a processor must do, whatever the processor does."""
