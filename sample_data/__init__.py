"""Generates H&M-shaped sample data: customers with tastes, articles with life cycles, baskets and images."""
