"""The dashboard in a real browser, with a script and without, by mouse and by keyboard."""
