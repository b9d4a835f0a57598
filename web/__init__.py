"""HTTP views of the Faust application."""
