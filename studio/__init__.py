"""The application: the command line, the scene folder and the pipeline."""
