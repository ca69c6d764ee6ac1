"""Business metrics, customer segments, descriptive pictures, and the page of a run."""
