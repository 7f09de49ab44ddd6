"""Views: random changes of every graph of a batch."""
