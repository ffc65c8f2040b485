"""What the bill lists in, the model's verified files in their place out, before anything loads them."""
