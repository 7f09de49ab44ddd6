"""Methods: views to loss terms and contrasts."""
