"""Figures, each a function from tables to a drawing; `style` is what they share."""
