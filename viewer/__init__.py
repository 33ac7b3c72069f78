"""What a person looks at: the served and published page, and reports."""
