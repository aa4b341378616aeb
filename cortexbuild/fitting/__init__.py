"""Bits by a budget: how sensitive a model is, what each way to pack a layer costs, and how layers
are rounded for the text that they will see."""
