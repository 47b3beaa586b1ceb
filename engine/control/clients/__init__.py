"""The clients behind `engine.client`: one for an engine of this process, one for an engine behind its door."""
