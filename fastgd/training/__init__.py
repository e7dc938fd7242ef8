"""The loop: one epoch after another, stopping, history, callbacks, several starts."""
