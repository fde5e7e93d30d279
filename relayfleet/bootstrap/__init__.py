"""The one place that names concrete classes and joins them, a file for each thing that is joined."""
