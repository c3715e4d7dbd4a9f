"""Numbers into pictures and words, without widgets: curves by plotext, axes, heat scale, bars, colours."""
