"""The one reader of pictures, whatever they are for: the right colours, within bounds of time and memory."""
