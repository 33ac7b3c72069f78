"""The studio's server: captures, jobs, uploads and scenes for the studio's page, on this machine or a local network."""
