"""One HTML file about a result, to look at without a network, and a page of many results."""
