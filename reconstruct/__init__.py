"""From frames to models: poses, trainers, evaluation."""
