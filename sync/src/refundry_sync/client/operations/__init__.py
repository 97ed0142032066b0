"""Every operation of the API as a function that makes a call: pure, and shared by both clients."""
