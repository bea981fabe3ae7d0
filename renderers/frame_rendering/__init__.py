"""From where a frame starts to its finished picture: starts, the frame loop, states, frame objects."""
