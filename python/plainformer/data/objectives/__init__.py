"""What a model learns from unlabelled text, one file an objective."""
